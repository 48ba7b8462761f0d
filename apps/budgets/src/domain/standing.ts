import type { budgets, OutputOf } from '@reef/contracts';
import { applyAt, type Applied, type Bound, pressureOf, type Standing } from './bounds.js';
import { usedOf } from './counters.js';
import { entriesOf } from './dictionary.js';
import { EACH } from './limits.js';
import type { Pressure } from './pressure.js';
import { windowEndsAtMs, windowKeysAt } from './windows.js';

export type LimitStanding = OutputOf<typeof budgets.queries.balance>['limits'][number];

/** A limit on each agent, user or key shows those who used most. */
export const EACH_SHOWN_MAX = 100;

/** How every limit stands at an instant; windows that began after the last use stand at zero. */
export function standings(state: Standing, atMs: number): LimitStanding[] {
  const windows = windowKeysAt(atMs, state.timeZone);
  const shown = (bound: Bound, scopeId: string | null, { counter, cap, left }: Applied): LimitStanding => {
    const endsAtMs = windowEndsAtMs(bound.window, atMs, state.timeZone);
    return {
      scope: bound.scope,
      scopeId,
      window: bound.window,
      unit: bound.unit,
      cap,
      posted: counter?.posted[bound.unit] ?? 0n,
      held: counter?.held[bound.unit] ?? 0n,
      left: left > 0n ? left : 0n,
      windowEndsAt: endsAtMs === Infinity ? null : new Date(endsAtMs).toISOString(),
      hard: bound.hard,
      setBy: bound.setBy,
    };
  };
  return state.bounds.flatMap((bound) => {
    const window = windows[bound.window];
    if (bound.scope === 'tenant') return [shown(bound, null, applyAt(state, bound, `${window}|tenant`))];
    const prefix = `${window}|${bound.scope}:`;
    const one = (scopeId: string) => shown(bound, scopeId, applyAt(state, bound, prefix + scopeId));
    if (bound.scopeId !== EACH) return [one(bound.scopeId ?? '')];
    const each = entriesOf(state.counters)
      .filter(([key]) => key.startsWith(prefix))
      .sort(([a, x], [b, y]) => descending(usedOf(x, bound.unit), usedOf(y, bound.unit)) || (a < b ? -1 : 1))
      .slice(0, EACH_SHOWN_MAX)
      .map(([key]) => one(key.slice(prefix.length)));
    return each.length > 0 ? each : [one(EACH)];
  });
}

const descending = (a: bigint, b: bigint) => (a > b ? -1 : a < b ? 1 : 0);

/** The pressure on the tenant as a whole: limits below it narrow only their own agent, user or key. */
export function tenantPressure(state: Standing, atMs: number): Pressure {
  const windows = windowKeysAt(atMs, state.timeZone);
  const ofTenant = state.bounds.filter(({ scope }) => scope === 'tenant');
  return pressureOf(
    state,
    ofTenant.map((bound) => applyAt(state, bound, `${windows[bound.window]}|tenant`)),
  );
}
