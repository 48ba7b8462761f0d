import type { budgets, OutputOf } from '@reef/contracts';
import { type Counter, type Counters, usedOf } from './counters.js';
import { entriesOf, get } from './dictionary.js';
import { EACH, type Limit } from './limits.js';
import { type Pressure, pressureAt, utilisationOf } from './pressure.js';
import { windowEndsAtMs, windowKeysAt } from './windows.js';

export type Standing = OutputOf<typeof budgets.queries.balance>['limits'][number];

/** A limit on each agent, user or key shows those who used most. */
export const EACH_SHOWN_MAX = 100;

interface Books {
  readonly limits: readonly Limit[];
  readonly counters: Counters;
}

/** How every limit stands at an instant; windows that began after the last use stand at zero. */
export function standings({ limits, counters }: Books, atMs: number): Standing[] {
  const windows = windowKeysAt(atMs);
  const standing = (limit: Limit, scopeId: string | null, counter: Counter | undefined): Standing => {
    const left = limit.cap - usedOf(counter, limit.unit);
    const endsAtMs = windowEndsAtMs(limit.window, atMs);
    return {
      scope: limit.scope,
      scopeId,
      window: limit.window,
      unit: limit.unit,
      cap: limit.cap,
      posted: counter?.posted[limit.unit] ?? 0n,
      held: counter?.held[limit.unit] ?? 0n,
      left: left > 0n ? left : 0n,
      windowEndsAt: endsAtMs === Infinity ? null : new Date(endsAtMs).toISOString(),
      hard: limit.hard,
    };
  };
  return limits.flatMap((limit) => {
    const window = windows[limit.window];
    if (limit.scope === 'tenant') return [standing(limit, null, get(counters, `${window}|tenant`))];
    const prefix = `${window}|${limit.scope}:`;
    if (limit.scopeId !== EACH) return [standing(limit, limit.scopeId, get(counters, prefix + (limit.scopeId ?? '')))];
    const each = entriesOf(counters)
      .filter(([key]) => key.startsWith(prefix))
      .sort(([a, x], [b, y]) => descending(usedOf(x, limit.unit), usedOf(y, limit.unit)) || (a < b ? -1 : 1))
      .slice(0, EACH_SHOWN_MAX)
      .map(([key, counter]) => standing(limit, key.slice(prefix.length), counter));
    return each.length > 0 ? each : [standing(limit, EACH, undefined)];
  });
}

const descending = (a: bigint, b: bigint) => (a > b ? -1 : a < b ? 1 : 0);

/** The pressure on the tenant as a whole: limits below it narrow only their own agent, user or key. */
export function tenantPressure(shown: readonly Standing[]): Pressure {
  const ofTenant = shown.filter((standing) => standing.hard && standing.scope === 'tenant');
  return pressureAt(Math.max(0, ...ofTenant.map(({ posted, held, cap }) => utilisationOf(posted + held, cap))));
}
