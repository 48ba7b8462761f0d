import { type Counter, type Counters, usedOf, windowKeyOf } from './counters.js';
import { type Dictionary, get } from './dictionary.js';
import { type Attribution, counterKey, type Limit } from './limits.js';
import type { PlanInForce } from './plan.js';
import { type Pressure, pressureAt, type PressureStep, rankOf, utilisationOf } from './pressure.js';
import { type Allowance, extendedCap, type TopUps } from './top-ups.js';
import { windowEndsAtMs, type WindowKeys, windowKeysAt, windowOfKey } from './windows.js';

/** A limit that is checked: the plan's, or one by which the tenant narrows it. */
export interface Bound extends Limit {
  readonly setBy: 'plan' | 'tenant';
  readonly topUps: boolean;
}

export function boundsOf(plan: PlanInForce, own: readonly Limit[]): readonly Bound[] {
  return [
    ...plan.plan.limits.map((limit) => ({ ...limit, setBy: 'plan' as const })),
    ...own.map((limit) => ({ ...limit, setBy: 'tenant' as const, topUps: false })),
  ];
}

/** How far a limit near its cap is held back; kept while it is at a step of the ladder. */
export interface Rung {
  readonly step: PressureStep;
  /** Until when what was spent near the cap is to last, ms since the epoch. */
  readonly spentUntilMs: number;
}

/** What caps, use and pressure follow from. */
export interface Standing {
  readonly bounds: readonly Bound[];
  readonly counters: Counters;
  readonly plan: PlanInForce;
  readonly topUps: TopUps;
  readonly timeZone: string;
  readonly rungs: Dictionary<Rung>;
}

/** A bound at an instant, for somebody's use. */
export interface Applied {
  readonly bound: Bound;
  /** `setBy|unit|window|scope`, such as `plan|usd|2026-11|tenant`: of hard bounds, no two have the same. */
  readonly name: string;
  readonly key: string;
  readonly counter: Counter | undefined;
  /** With what is left of top-ups. */
  readonly cap: bigint;
  /** May be below zero: a limit can be set below what is spent. */
  readonly left: bigint;
}

/** The bounds that apply to somebody's use at an instant. */
export function appliedTo(state: Standing, whose: Attribution, atMs: number): Applied[] {
  const windows = windowKeysAt(atMs, state.timeZone);
  const applied: Applied[] = [];
  for (const bound of state.bounds) {
    const key = counterKey(bound, whose, windows);
    if (key !== null) applied.push(applyAt(state, bound, key));
  }
  return applied;
}

export function applyAt(state: Standing, bound: Bound, key: string): Applied {
  const counter = get(state.counters, key);
  const cap = bound.topUps
    ? extendedCap(bound, allowanceOf(state.plan, bound, key), state.topUps, state.counters)
    : bound.cap;
  return {
    bound,
    name: `${bound.setBy}|${bound.unit}|${key}`,
    key,
    counter,
    cap,
    left: cap - usedOf(counter, bound.unit),
  };
}

/** What a plan includes of a unit in a window: its cap, or what was spent when the plan came, if that is more. */
export function allowanceOf({ spentBefore }: PlanInForce, { unit, cap }: Bound, key: string): Allowance {
  const before = spentBefore[`${unit}|${key}`] ?? 0n;
  return { unit, key, freeUpTo: before > cap ? before : cap };
}

/** The allowances, with top-ups beyond them, that use in these windows counts against. */
export function allowancesIn({ bounds, plan }: Standing, windows: WindowKeys): Allowance[] {
  return bounds
    .filter(({ topUps }) => topUps)
    .map((bound) => allowanceOf(plan, bound, `${windows[bound.window]}|tenant`));
}

/** The allowances that counters are about: a plan's limits on the tenant, in any window. */
export function allowancesOf(
  { bounds, plan }: Pick<Standing, 'bounds' | 'plan'>,
  keys: readonly string[],
): Allowance[] {
  return keys.flatMap((key) => {
    const windowKey = windowKeyOf(key);
    if (key !== `${windowKey}|tenant`) return [];
    return bounds
      .filter(({ topUps, window }) => topUps && window === windowOfKey(windowKey))
      .map((bound) => allowanceOf(plan, bound, key));
  });
}

/** The pressure of the tightest hard bound: the highest step, and of those the fullest. */
export function pressureOf(state: Standing, applied: readonly Applied[]): Pressure {
  let tightest: Pressure = { utilisation: 0, step: 'free' };
  for (const each of applied) {
    if (!each.bound.hard) continue;
    const found = pressureOn(state, each);
    const higher = rankOf(found.step) - rankOf(tightest.step);
    if (higher > 0 || (higher === 0 && found.utilisation > tightest.utilisation)) tightest = found;
  }
  return tightest;
}

export function pressureOn(state: Standing, { bound, counter, cap, name }: Applied): Pressure {
  return pressureAt(utilisationOf(usedOf(counter, bound.unit), cap), get(state.rungs, name)?.step);
}

/** Over how long what is left of a bound is rationed at an instant, ms: the plan's span, or the rest of its window if that is less. */
export function paceMs({ plan, timeZone }: Standing, { bound }: Applied, atMs: number): number {
  return Math.min(plan.plan.paceOverSeconds * 1_000, windowEndsAtMs(bound.window, atMs, timeZone) - atMs);
}

/** How long `amount` of a bound is to last, ms, when what is left of it lasts for `overMs`. */
export function lastsMs(amount: bigint, left: bigint, overMs: number): number {
  if (amount <= 0n || overMs <= 0) return 0;
  if (left <= 0n) return overMs;
  return Math.min(overMs, (Number(amount) / Number(left)) * overMs);
}

/** Money and tokens are rationed; messages and requests are people's and their programs' own pace. */
export const isRationed = ({ bound }: Applied) => bound.unit === 'usd' || bound.unit === 'tokens';
