import type { RateLimitReport } from '../domain/adaptive-limit.js';

type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

/** 429, 503 and Anthropic's 529. */
const throttling = new Set([429, 503, 529]);

/**
 * What a provider's answer says about its limits: `retry-after`, and what OpenAI (`x-ratelimit-*`, as most servers of its format)
 * or Anthropic (`anthropic-ratelimit-*`) add.
 */
export function rateLimitsOf(headers: Headers, status: number, nowMs: number): RateLimitReport {
  const requests = kindOf(headers, 'requests', nowMs);
  const tokens = kindOf(headers, 'tokens', nowMs);
  return {
    throttled: throttling.has(status),
    ...defined('retryAfterMs', retryAfter(headers, nowMs)),
    ...defined('remainingRequests', requests.remaining),
    ...defined('remainingTokens', tokens.remaining),
    ...defined('resetAtMs', resetOf([requests, tokens])),
  };
}

/** `retry-after-ms`, or `retry-after` in seconds or as a date (RFC 9110, 10.2.3); ms from now. */
export function retryAfter(headers: Headers | undefined, nowMs: number): number | undefined {
  const precise = numberIn(headers?.['retry-after-ms']);
  if (precise !== undefined) return precise;
  const text = headers?.['retry-after'];
  if (typeof text !== 'string') return undefined;
  const seconds = numberIn(text);
  const waitMs = seconds === undefined ? Date.parse(text) - nowMs : seconds * 1_000;
  return Number.isFinite(waitMs) ? Math.max(waitMs, 0) : undefined;
}

interface Kind {
  remaining: number | undefined;
  resetAtMs: number | undefined;
}

function kindOf(headers: Headers, kind: 'requests' | 'tokens', nowMs: number): Kind {
  const remaining = headers[`x-ratelimit-remaining-${kind}`] ?? headers[`anthropic-ratelimit-${kind}-remaining`];
  const reset = headers[`x-ratelimit-reset-${kind}`] ?? headers[`anthropic-ratelimit-${kind}-reset`];
  return { remaining: numberIn(remaining), resetAtMs: typeof reset === 'string' ? resetAt(reset, nowMs) : undefined };
}

/** Of what is used up, the last to be whole again; where nothing is, the requests. */
function resetOf(kinds: readonly [Kind, Kind]): number | undefined {
  const spent = kinds.filter(({ remaining, resetAtMs }) => remaining === 0 && resetAtMs !== undefined);
  if (spent.length > 0) return Math.max(...spent.map(({ resetAtMs }) => resetAtMs ?? 0));
  return kinds[0].resetAtMs ?? kinds[1].resetAtMs;
}

const unitMs: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };

/** `1s`, `6m0s`, `1h2m3.5s`, `20ms` (OpenAI), plain seconds (Azure) or a date (Anthropic); ms since 1970. */
function resetAt(text: string, nowMs: number): number | undefined {
  const seconds = numberIn(text);
  if (seconds !== undefined) return nowMs + seconds * 1_000;
  if (/^(\d+(\.\d+)?(ms|[hms]))+$/.test(text)) {
    const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|[hms])/g)];
    return nowMs + parts.reduce((sum, [, count, unit]) => sum + Number(count) * (unitMs[unit ?? ''] ?? 0), 0);
  }
  const atMs = Date.parse(text);
  return Number.isFinite(atMs) ? atMs : undefined;
}

function numberIn(text: string | readonly string[] | undefined): number | undefined {
  return typeof text === 'string' && /^\s*\d+(\.\d+)?\s*$/.test(text) ? Number(text) : undefined;
}

function defined<Name extends string>(name: Name, value: number | undefined): Partial<Record<Name, number>> {
  return value === undefined ? {} : ({ [name]: value } as Record<Name, number>);
}
