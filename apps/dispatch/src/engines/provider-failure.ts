import { APICallError, InvalidResponseDataError, JSONParseError, TypeValidationError } from '@ai-sdk/provider';
import type { Usage } from './engine.js';
import { NOTHING_USED } from './engine.js';
import { retryAfter } from './rate-limits.js';

/**
 * What went wrong with a model call, stripped of everything the provider's libraries put into their errors: those carry
 * the whole prompt, the response and sometimes the key, and must reach neither a log nor a caller.
 */
export interface ProviderFailure {
  code: 'provider_rate_limited' | 'provider_error' | 'provider_stream_broken' | 'provider_nonsense';
  message: string;
  status?: number;
  /** Whether the same request may succeed if nothing has been put out yet. */
  retryable: boolean;
  retryAfterMs?: number;
  /** `NOTHING_USED` when the provider turned the request away, undefined when nobody can tell what it did. */
  usage: Usage | undefined;
}

/** Statuses with which a gateway gives up waiting: the model behind it may have worked, and cost. */
const maybeWorked = new Set([408, 499, 502, 504, 524]);

/** What the AI SDK threw. `responding`: whether the provider had begun to answer. */
export function providerFailure(error: unknown, responding: boolean): ProviderFailure {
  const network = networkCode(error);
  if (APICallError.isInstance(error) && error.statusCode !== undefined) {
    // A connection that breaks within a good answer comes with that answer's status.
    if (error.statusCode < 400) return network === undefined ? nonsense() : broken();
    return refusal(error.statusCode, error.responseHeaders);
  }
  if (network !== undefined) return connectionFailure(error, responding);
  if (JSONParseError.isInstance(error) || TypeValidationError.isInstance(error)) return nonsense();
  // The AI SDK has no data to show exactly when a stream ended without a finish reason.
  if (InvalidResponseDataError.isInstance(error) && error.data !== undefined) return nonsense();
  return broken();
}

/** A connection that could not be made, or that broke. */
export function connectionFailure(error: unknown, responding: boolean): ProviderFailure {
  return responding ? broken() : unreachable(neverArrived.has(networkCode(error) ?? ''));
}

/** An error that the provider reported within a stream. */
export function reportedFailure(): ProviderFailure {
  return {
    code: 'provider_error',
    message: 'The model provider reported an error while it answered.',
    retryable: false,
    usage: undefined,
  };
}

export function broken(): ProviderFailure {
  return {
    code: 'provider_stream_broken',
    message: "The model provider's answer broke off.",
    retryable: true,
    usage: undefined,
  };
}

export function nonsense(): ProviderFailure {
  return {
    code: 'provider_nonsense',
    message: "The model provider's answer could not be understood.",
    retryable: false,
    usage: undefined,
  };
}

/** The provider turned the request away with this status. */
export function refusal(
  status: number,
  headers: Readonly<Record<string, string | readonly string[] | undefined>> | undefined,
): ProviderFailure {
  const retryAfterMs = retryAfter(headers, Date.now());
  return {
    code: status === 429 ? 'provider_rate_limited' : 'provider_error',
    message: refusalMessage(status),
    status,
    retryable: status === 429 || status >= 500,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    usage: maybeWorked.has(status) ? undefined : NOTHING_USED,
  };
}

function refusalMessage(status: number): string {
  if (status === 429) return 'The model provider is limiting our rate.';
  if (status === 401 || status === 403) return `The model provider did not accept our key (${status}).`;
  return `The model provider answered ${status}.`;
}

/** @param neverArrived whether the request certainly never reached the provider, and so cost nothing. */
export function unreachable(neverArrived: boolean): ProviderFailure {
  return {
    code: 'provider_error',
    message: 'The model provider cannot be reached.',
    retryable: true,
    usage: neverArrived ? NOTHING_USED : undefined,
  };
}

/** With these no connection was made, so no request can have arrived. */
const neverArrived = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);
const causesMax = 5;

/** The system's or undici's code for a broken connection, wherever in the chain of causes it is. */
function networkCode(error: unknown): string | undefined {
  let current = error;
  for (let depth = 0; depth < causesMax && typeof current === 'object' && current !== null; depth += 1) {
    const { code, cause } = current as { code?: unknown; cause?: unknown };
    if (typeof code === 'string' && (/^(UND_ERR_|ECONN|EPIPE$|ETIMEDOUT$)/.test(code) || neverArrived.has(code)))
      return code;
    current = cause;
  }
  return undefined;
}
