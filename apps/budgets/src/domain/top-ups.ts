import type { budgets, EventOf } from '@reef/contracts';
import { type Counters, usedOf } from './counters.js';
import { get } from './dictionary.js';
import type { Unit } from './limits.js';
import type { Bound } from './bounds.js';

type Stored = EventOf<typeof budgets, 'WindowOpened'>['data']['topUps'][number];

/** Bought on top of a plan's allowance. Used is what is spent of it or held for calls under way. */
export type TopUp = Stored;
export type TopUps = readonly TopUp[];

/** The newest top-ups of a unit are remembered by id, so that none is booked twice: years of them, and they fit into one event. */
export const TOP_UP_IDS_MAX = 2_000;

export function topUpOf(topUps: TopUps, unit: Unit): TopUp | undefined {
  return topUps.find((topUp) => topUp.unit === unit);
}

export function toppedUp(topUps: TopUps, unit: Unit, amount: bigint, topUpId: string): TopUps {
  const before = topUpOf(topUps, unit) ?? { unit, granted: 0n, used: 0n, topUpIds: [] };
  const after = {
    ...before,
    granted: before.granted + amount,
    topUpIds: [...before.topUpIds, topUpId].slice(-TOP_UP_IDS_MAX),
  };
  return [...topUps.filter((topUp) => topUp.unit !== unit), after];
}

/** Where a plan's allowance is counted, and what of it is free: `spentBefore` was spent under an earlier plan. */
export interface Allowance {
  readonly unit: Unit;
  readonly key: string;
  readonly freeUpTo: bigint;
}

/** What the use of a window takes from top-ups: what exceeds the allowance, in whatever order calls began and ended. */
export function beyond(counters: Counters, { unit, key, freeUpTo }: Allowance): bigint {
  const used = usedOf(get(counters, key), unit);
  return used > freeUpTo ? used - freeUpTo : 0n;
}

/** Top-ups after counters changed: used is moved by the change of what exceeds each allowance. */
export function withUse(topUps: TopUps, allowances: readonly Allowance[], before: Counters, after: Counters): TopUps {
  let changed = topUps;
  for (const allowance of allowances) {
    const more = beyond(after, allowance) - beyond(before, allowance);
    if (more === 0n) continue;
    const topUp = topUpOf(changed, allowance.unit) ?? { unit: allowance.unit, granted: 0n, used: 0n, topUpIds: [] };
    changed = [...changed.filter(({ unit }) => unit !== allowance.unit), { ...topUp, used: topUp.used + more }];
  }
  return changed;
}

/** A cap with what is left of top-ups: the allowance, and beyond it what was bought and not spent in other windows. */
export function extendedCap(bound: Bound, allowance: Allowance, topUps: TopUps, counters: Counters): bigint {
  const topUp = topUpOf(topUps, bound.unit);
  if (!topUp) return bound.cap;
  const left = topUp.granted - topUp.used + beyond(counters, allowance);
  return allowance.freeUpTo + (left > 0n ? left : 0n);
}
