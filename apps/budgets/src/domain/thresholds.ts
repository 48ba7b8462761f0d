import type { budgets, EventOf } from '@reef/contracts';
import type { Applied } from './bounds.js';
import { type Amounts, windowKeyOf } from './counters.js';
import { type Dictionary, get } from './dictionary.js';
import { windowEndsAtMs } from './windows.js';

type ThresholdCrossed = EventOf<typeof budgets, 'ThresholdCrossed'>;

const THRESHOLDS = [50n, 80n, 90n, 100n] as const;

/** The highest threshold, in percent, that was told of a cap within a window: `unit|window|scope|hard|cap`. Another cap is told anew. */
export type Told = Dictionary<number>;

export function toldNameOf({ data }: Pick<ThresholdCrossed, 'data'>): string {
  const whose = data.scope === 'tenant' ? 'tenant' : `${data.scope}:${data.scopeId}`;
  return `${data.unit}|${data.windowKey}|${whose}|${data.hard ? 'hard' : 'soft'}|${data.cap}`;
}

/** The balance that was told about, `unit|window|scope`. */
export function balanceOfTold(name: string): string {
  return name.slice(0, name.lastIndexOf('|', name.lastIndexOf('|') - 1));
}

/**
 * What is told when `posted` is added to what is spent: each threshold that is reached by it, of each cap, and that was not told.
 * @param at an instant within the bounds' windows, which may be over by now.
 */
export function crossedBy(
  applied: readonly Applied[],
  posted: Amounts,
  at: { atMs: number; timeZone: string },
  nowMs: number,
  told: Told,
): ThresholdCrossed[] {
  const crossings = applied.flatMap((each) => {
    const more = posted[each.bound.unit];
    if (more <= 0n) return [];
    const before = each.counter?.posted[each.bound.unit] ?? 0n;
    const reached = (spent: bigint, threshold: bigint) => each.cap > 0n && spent * 100n >= each.cap * threshold;
    return THRESHOLDS.filter((threshold) => reached(before + more, threshold) && !reached(before, threshold)).map(
      (threshold) => crossed(each, threshold, before + more, at, nowMs),
    );
  });
  // A plan and a tenant may have set the same cap.
  const news = new Map<string, ThresholdCrossed>();
  for (const crossing of crossings) {
    const name = toldNameOf(crossing);
    const { thresholdPercent } = crossing.data;
    if ((get(told, name) ?? 0) < thresholdPercent) news.set(`${name}|${thresholdPercent}`, crossing);
  }
  return [...news.values()];
}

export function crossed(
  { bound, key, cap }: Applied,
  threshold: (typeof THRESHOLDS)[number],
  posted: bigint,
  { atMs, timeZone }: { atMs: number; timeZone: string },
  nowMs: number,
): ThresholdCrossed {
  const windowKey = windowKeyOf(key);
  const scope = key.slice(windowKey.length + 1);
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
