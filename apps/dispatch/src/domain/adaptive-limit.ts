/** What a provider said, in the answer to one model call, about how much more it takes. */
export interface RateLimitReport {
  /** It turned the call away because of a rate limit or overload (429, 503, 529). */
  readonly throttled: boolean;
  readonly retryAfterMs?: number | undefined;
  readonly remainingRequests?: number | undefined;
  readonly remainingTokens?: number | undefined;
  /** When what remains is whole again, ms since 1970. */
  readonly resetAtMs?: number | undefined;
}

/** Whatever a provider asks for, after this long one call tries again, ms. */
export const PAUSE_MAX_MS = 60_000;
/** Calls that were under way together are turned away together: that counts once, ms. */
export const DECREASE_EVERY_MS = 1_000;

/**
 * How many turns may run at once in a lane: halved when the provider is overrun, one more a round while it is not, and after a
 * pause doubled a round up to where it was (additive increase, multiplicative decrease and slow start, as TCP: RFC 5681).
 */
export interface AdaptiveLimit {
  readonly max: number;
  /** Grows by parts of one. */
  readonly allowed: number;
  /** Below it the limit doubles a round. */
  readonly threshold: number;
  readonly pausedUntilMs: number;
  /** The provider said that it takes so many more requests until then. */
  readonly remaining: { readonly requests: number; readonly untilMs: number } | null;
  readonly decreasedAtMs: number;
}

export function adaptiveLimit(max: number): AdaptiveLimit {
  return { max, allowed: max, threshold: max, pausedUntilMs: 0, remaining: null, decreasedAtMs: -Infinity };
}

/** How many may run at once now; 0 while it pauses. */
export function allowedAt(limit: AdaptiveLimit, nowMs: number): number {
  if (nowMs < limit.pausedUntilMs) return 0;
  const remaining = limit.remaining && nowMs < limit.remaining.untilMs ? limit.remaining.requests : Infinity;
  return Math.min(Math.floor(limit.allowed), remaining);
}

/** When more may be allowed though no turn ends: the end of a pause or of the provider's window; null if there is none. */
export function changesAtMs(limit: AdaptiveLimit, nowMs: number): number | null {
  if (nowMs < limit.pausedUntilMs) return limit.pausedUntilMs;
  return limit.remaining && nowMs < limit.remaining.untilMs ? limit.remaining.untilMs : null;
}

/** @param running turns of the lane at this moment, the one that reports among them. */
export function observe(
  limit: AdaptiveLimit,
  report: RateLimitReport,
  { running, nowMs }: { running: number; nowMs: number },
): AdaptiveLimit {
  const resetAtMs = Math.min(report.resetAtMs ?? 0, nowMs + PAUSE_MAX_MS);
  const isSpent = report.remainingRequests === 0 || report.remainingTokens === 0;
  const pausedUntilMs = Math.max(
    limit.pausedUntilMs,
    report.retryAfterMs ? nowMs + Math.min(report.retryAfterMs, PAUSE_MAX_MS) : 0,
    isSpent || (report.throttled && report.retryAfterMs === undefined) ? resetAtMs : 0,
  );
  const isLow = (report.remainingRequests ?? Infinity) < limit.max && resetAtMs > nowMs;
  const remaining = isLow ? { requests: Math.max(1, report.remainingRequests ?? 1), untilMs: resetAtMs } : null;
  const said = { ...limit, pausedUntilMs, remaining };
  if (!report.throttled) return grown(said, running);
  if (nowMs < limit.decreasedAtMs + DECREASE_EVERY_MS) return said;
  const threshold = Math.max(1, Math.floor(Math.min(limit.allowed, running) / 2));
  return { ...said, threshold, allowed: pausedUntilMs > nowMs ? 1 : threshold, decreasedAtMs: nowMs };
}

/** A limit that nobody came near has not shown that the provider would take more. */
function grown(limit: AdaptiveLimit, running: number): AdaptiveLimit {
  if (running < Math.floor(limit.allowed)) return limit;
  const step = limit.allowed < limit.threshold ? 1 : 1 / limit.allowed;
  return { ...limit, allowed: Math.min(limit.max, limit.allowed + step) };
}
