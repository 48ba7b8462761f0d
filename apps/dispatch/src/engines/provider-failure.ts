import { APICallError, InvalidResponseDataError, JSONParseError, TypeValidationError } from '@ai-sdk/provider';
import type { Usage } from './engine.js';
import { NOTHING_USED } from './engine.js';

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

export function providerFailure(error: unknown): ProviderFailure {
  if (APICallError.isInstance(error)) return callFailure(error);
  if (JSONParseError.isInstance(error) || TypeValidationError.isInstance(error)) return nonsense();
  // The AI SDK has no data to show exactly when a stream ended without a finish reason.
  if (InvalidResponseDataError.isInstance(error) && error.data !== undefined) return nonsense();
  return broken();
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

function callFailure(error: APICallError): ProviderFailure {
  const status = error.statusCode;
  if (status === undefined) {
    const neverArrived = refusedConnection(error.cause);
    return {
      code: 'provider_error',
      message: 'The model provider cannot be reached.',
      retryable: error.isRetryable,
      usage: neverArrived ? NOTHING_USED : undefined,
    };
  }
  if (status < 400) return nonsense();
  const retryAfterMs = retryAfter(error.responseHeaders);
  return {
    code: status === 429 ? 'provider_rate_limited' : 'provider_error',
    message:
      status === 429
        ? 'The model provider is limiting our rate.'
        : status === 401 || status === 403
          ? `The model provider did not accept our key (${status}).`
          : `The model provider answered ${status}.`,
    status,
    retryable: status === 429 || status >= 500,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    usage: maybeWorked.has(status) ? undefined : NOTHING_USED,
  };
}

function refusedConnection(cause: unknown): boolean {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  return code === 'ECONNREFUSED' || code === 'ENOTFOUND' || code === 'EAI_AGAIN' || code === 'UND_ERR_CONNECT_TIMEOUT';
}

/** `retry-after-ms`, or `retry-after` in seconds or as a date (RFC 9110, 10.2.3). */
function retryAfter(headers: Record<string, string> | undefined): number | undefined {
  const precise = Number(headers?.['retry-after-ms'] ?? Number.NaN);
  if (Number.isFinite(precise) && precise >= 0) return precise;
  const text = headers?.['retry-after'];
  if (text === undefined) return undefined;
  const seconds = Number(text);
  const waitMs = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(text) - Date.now();
  return Number.isFinite(waitMs) ? Math.max(waitMs, 0) : undefined;
}
