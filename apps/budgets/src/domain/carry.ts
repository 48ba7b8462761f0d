import type { budgets, EventOf } from '@reef/contracts';
import { type Amounts, counterOf, type Counters, NOTHING, plus, UNITS, usedOf, windowKeyOf } from './counters.js';
import { type Dictionary, entriesOf, put } from './dictionary.js';
import { EACH, type Meter } from './limits.js';
import { windowEndsAtMs, windowKeysAt, withinMonth } from './windows.js';

type WindowOpened = EventOf<typeof budgets, 'WindowOpened'>['data'];

/** What a month hands to the next: balances of windows that outlast it, `unit|window|scope` → amount, held or spent. */
export type Carry = Pick<Opening, 'carried' | 'carriedHolds'>;
/** All that a month begins with. */
export type Opening = {
  readonly [Field in Exclude<keyof WindowOpened, 'window' | 'openedAt'>]: ReadonlyLists<WindowOpened[Field]>;
};
type ReadonlyLists<Value> = Value extends (infer Item)[] ? readonly Item[] : Value;

export const NOTHING_CARRIED: Carry = { carried: {}, carriedHolds: [] };

// One event must fit a message of a megabyte, whatever end users call themselves.
const BALANCES_PER_EVENT = 500;
const HOLDS_PER_EVENT = 5_000;

interface Books {
  readonly window: string;
  readonly timeZone: string;
  readonly meters: readonly Meter[];
  readonly counters: Counters;
  readonly holds: Dictionary<unknown>;
}

/**
 * The carry of a month that is closed at `closedAtMs`: of `total`, of windows that span the edge of the month in UTC, and the
 * tenant's own use in whatever another zone's clock still names: the tenant may choose that zone, or hold something there.
 */
export function carryOf({ window, timeZone, meters, counters, holds }: Books, closedAtMs: number): Carry {
  const outlastsMs = Math.max(closedAtMs, windowEndsAtMs('month', withinMonth(window, 0)));
  const spanning = new Set(Object.values(windowKeysAt(outlastsMs, timeZone)));
  const totals = new Set(meters.filter((meter) => meter.window === 'total').map(totalKey));
  const carried: Record<string, bigint> = {};
  for (const [key, counter] of entriesOf(counters)) {
    if (counter.namedUntilMs <= outlastsMs) continue;
    const windowKey = windowKeyOf(key);
    if (key !== `${windowKey}|tenant` && !spanning.has(windowKey)) continue;
    // A total that no limit asks for any more would be carried for ever.
    if (counter.namedUntilMs === Infinity && !totals.has(key)) continue;
    for (const unit of UNITS) {
      const amount = usedOf(counter, unit);
      if (amount !== 0n) carried[`${unit}|${key}`] = amount;
    }
  }
  return { carried, carriedHolds: entriesOf(holds).map(([reservationId]) => reservationId) };
}

function totalKey({ scope, scopeId }: Meter): string {
  return scope === 'tenant' ? 'total|tenant' : `total|${scope}:${scopeId ?? EACH}`;
}

/** The balances by counter. */
export function balances(carried: Carry['carried']): Map<string, Amounts> {
  const found = new Map<string, Amounts>();
  for (const unit of UNITS) {
    for (const [name, amount] of Object.entries(carried)) {
      if (!name.startsWith(`${unit}|`)) continue;
      const key = name.slice(unit.length + 1);
      found.set(key, plus(found.get(key) ?? NOTHING, { ...NOTHING, [unit]: amount }));
    }
  }
  return found;
}

/** Counters with these balances as spent. */
export function withBalances(counters: Counters, carried: Carry['carried']): Counters {
  let together = counters;
  for (const [key, posted] of balances(carried)) {
    const before = counterOf(together, key);
    together = put(together, key, { ...before, posted: plus(before.posted, posted) });
  }
  return together;
}

/** The carry in pieces that each fit an event; at least one. */
export function carryInPieces({ carried, carriedHolds }: Carry) {
  const entries = Object.entries(carried);
  const count = Math.max(
    1,
    Math.ceil(entries.length / BALANCES_PER_EVENT),
    Math.ceil(carriedHolds.length / HOLDS_PER_EVENT),
  );
  const piece = (index: number) => ({
    carried: Object.fromEntries(entries.slice(index * BALANCES_PER_EVENT, (index + 1) * BALANCES_PER_EVENT)),
    carriedHolds: carriedHolds.slice(index * HOLDS_PER_EVENT, (index + 1) * HOLDS_PER_EVENT),
  });
  const more = Array.from({ length: count - 1 }, (_, index) => piece(index + 1));
  return [piece(0), ...more] as const;
}
