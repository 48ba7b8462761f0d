import type { budgets, EventOf, Refusal } from '@reef/contracts';
import { refuse } from '@reef/eventing/pure';
import { type Window, type WindowKeys, WINDOWS } from './windows.js';

export type Limit = EventOf<typeof budgets, 'LimitsSet'>['data']['limits'][number];
export type Attribution = EventOf<typeof budgets, 'Reserved'>['data']['attribution'];
export type Unit = Limit['unit'];
type Scope = Limit['scope'];

/** A limit on every agent, user or key separately. */
export const EACH = '*';

/** A million million dollars, or that many picodollars' worth of anything else: more is a mistake. */
export const CAP_MAX = 10n ** 24n;

/** Something whose use is counted, per window: the tenant, or an agent, user or key that a limit names. */
export interface Meter {
  readonly scope: Scope;
  /** Null for the tenant, `*` for each. */
  readonly scopeId: string | null;
  readonly window: Window;
}

// The tenant's own use is counted in every window always, so that a limit set later knows what was spent before.
const TENANT_METERS: readonly Meter[] = WINDOWS.map((window) => ({ scope: 'tenant', scopeId: null, window }));

/** What has to be counted for these limits. */
export function metersOf(limits: readonly Limit[]): readonly Meter[] {
  const meters = new Map(TENANT_METERS.map((meter) => [meterKey(meter), meter]));
  for (const { scope, scopeId, window } of limits) {
    if (scope !== 'tenant') meters.set(meterKey({ scope, scopeId, window }), { scope, scopeId, window });
  }
  return [...meters.values()];
}

function meterKey({ scope, scopeId, window }: Meter): string {
  return `${window}|${scope}:${scopeId ?? ''}`;
}

/** Where a meter counts this use, such as `2026-11-22|agent:main`; null where the meter is not about it. */
export function counterKey(meter: Meter, whose: Attribution, windows: WindowKeys): string | null {
  if (meter.scope === 'tenant') return `${windows[meter.window]}|tenant`;
  const id = idOf(meter.scope, whose);
  if (id === null || (meter.scopeId !== EACH && meter.scopeId !== id)) return null;
  return `${windows[meter.window]}|${meter.scope}:${id}`;
}

/** The counters that this use adds to, each once. */
export function counterKeys(meters: readonly Meter[], whose: Attribution, windows: WindowKeys): string[] {
  const keys: string[] = [];
  for (const meter of meters) {
    const key = counterKey(meter, whose, windows);
    // A limit on one agent and a limit on each share a counter.
    if (key === null || (meter.scope !== 'tenant' && keys.includes(key))) continue;
    keys.push(key);
  }
  return keys;
}

function idOf(scope: Exclude<Scope, 'tenant'>, whose: Attribution): string | null {
  switch (scope) {
    case 'agent':
      return whose.agent;
    case 'user':
      return whose.user;
    case 'key':
      return whose.keyId;
  }
}

type LimitRefusal = Refusal<'cap_negative' | 'cap_absurd' | 'scope_id_missing' | 'limit_unending' | 'limit_repeated'>;

/** The limits as they are kept, or what is wrong with them. */
export function checkedLimits<L extends Limit>(limits: readonly L[]): readonly L[] | LimitRefusal {
  const seen = new Set<string>();
  const checked: L[] = [];
  for (const given of limits) {
    const limit = given.scope === 'tenant' ? { ...given, scopeId: null } : given;
    if (limit.cap < 0n) return refuse('cap_negative', 'a cap is zero or more', nameOf(limit));
    if (limit.cap > CAP_MAX) return refuse('cap_absurd', 'a cap is at most a million million', nameOf(limit));
    if (limit.scope !== 'tenant' && limit.scopeId === null) {
      return refuse('scope_id_missing', `say which ${limit.scope}, or ${EACH} for each`, nameOf(limit));
    }
    if (limit.scopeId === EACH && limit.window === 'total') {
      return refuse('limit_unending', `a limit on each ${limit.scope} needs a window that ends`, nameOf(limit));
    }
    const key = `${meterKey(limit)}|${limit.unit}|${limit.hard}`;
    if (seen.has(key)) return refuse('limit_repeated', 'two limits are about the same', nameOf(limit));
    seen.add(key);
    checked.push(limit);
  }
  return checked;
}

/** Names a limit in a refusal's details. */
export function nameOf({ scope, scopeId, window, unit }: Limit) {
  return { scope, scopeId, window, unit };
}
