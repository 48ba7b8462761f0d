import type { budgets, EventOf } from '@reef/contracts';
import type { Applied } from './bounds.js';
import type { Amounts } from './counters.js';
import { windowEndsAtMs } from './windows.js';

type ThresholdCrossed = EventOf<typeof budgets, 'ThresholdCrossed'>;

const THRESHOLDS = [50n, 80n, 90n, 100n] as const;

/**
 * What is told when `posted` is added to what is spent: each threshold that is reached by it, of each bound.
 * @param at an instant within the bounds' windows, which may be over by now.
 */
export function crossedBy(
  applied: readonly Applied[],
  posted: Amounts,
  at: { atMs: number; timeZone: string },
  nowMs: number,
): ThresholdCrossed[] {
  return applied.flatMap((each) => {
    const more = posted[each.bound.unit];
    if (more <= 0n) return [];
    const before = each.counter?.posted[each.bound.unit] ?? 0n;
    const reached = (spent: bigint, threshold: bigint) => each.cap > 0n && spent * 100n >= each.cap * threshold;
    return THRESHOLDS.filter((threshold) => reached(before + more, threshold) && !reached(before, threshold)).map(
      (threshold) => crossed(each, threshold, before + more, at, nowMs),
    );
  });
}

export function crossed(
  { bound, key, cap }: Applied,
  threshold: (typeof THRESHOLDS)[number],
  posted: bigint,
  { atMs, timeZone }: { atMs: number; timeZone: string },
  nowMs: number,
): ThresholdCrossed {
  // An end user's name may hold any character; a window's key holds no `|`.
  const [windowKey, scope] = [key.slice(0, key.indexOf('|')), key.slice(key.indexOf('|') + 1)];
  const endsAtMs = windowEndsAtMs(bound.window, atMs, timeZone);
  return {
    type: 'ThresholdCrossed',
    data: {
      scope: bound.scope,
      scopeId: bound.scope === 'tenant' ? null : scope.slice(scope.indexOf(':') + 1),
      window: bound.window,
      windowKey,
      windowEndsAt: endsAtMs === Infinity ? null : new Date(endsAtMs).toISOString(),
      unit: bound.unit,
      thresholdPercent: Number(threshold) as 50 | 80 | 90 | 100,
      cap,
      posted,
      hard: bound.hard,
      crossedAt: new Date(nowMs).toISOString(),
    },
  };
}
