import type { budgets, EventOf } from '@reef/contracts';
import {
  allowancesIn,
  allowancesOf,
  appliedTo,
  type Bound,
  boundsOf,
  isRationed,
  lastsMs,
  paceMs,
  pressureOn,
  type Rung,
} from './bounds.js';
import { balances, type Carry, carryOf, type Opening, withBalances } from './carry.js';
import { type Amounts, type Counters, forget, hold, minus, NOTHING, post, windowKeyOf } from './counters.js';
import { type Dictionary, dictionary, entriesOf, get, put, remove } from './dictionary.js';
import {
  countersOf,
  type Ending,
  heldAmounts,
  type Hold,
  reservedAtMs,
  tokensOf,
  type Used,
  usedAmounts,
  windowsOf,
} from './hold.js';
import { type Attribution, type Limit, type Meter, metersOf } from './limits.js';
import type { PlanInForce } from './plan.js';
import { admitted, corrected, type RecentUse } from './rates.js';
import { balanceOfTold, type Told } from './thresholds.js';
import { beyond, topUpOf, type TopUps, toppedUp, withUse } from './top-ups.js';
import { HOUR_MS } from './windows.js';

/** A window is forgotten this long after the last clock left it: so far may the clocks of two instances be apart. */
export const FORGET_AFTER_MS = HOUR_MS;
/** The newest endings are remembered here, so many at least and twice as many at most; the ledger knows all. */
export const ENDINGS_MIN = 128;
/** Limits on each user may be used up by thousands; of more than these it is told once more in the new month. */
export const EXHAUSTED_CARRIED_MAX = 500;

type Data<Type extends keyof (typeof budgets)['events']> = EventOf<typeof budgets, Type>['data'];

/** What was carried to the next month when this one was closed. */
export interface Closing extends Opening {
  readonly next: string;
}

/** A tenant's books for one calendar month in UTC, open for reservations or closed and still settling. */
export interface OpenBudget {
  readonly status: 'open';
  /** The month, such as `2026-11`. */
  readonly window: string;
  readonly timeZone: string;
  readonly plan: PlanInForce;
  /** The tenant's own, which narrow the plan's. */
  readonly limits: readonly Limit[];
  /** The plan's limits and the tenant's. */
  readonly bounds: readonly Bound[];
  readonly meters: readonly Meter[];
  readonly counters: Counters;
  readonly topUps: TopUps;
  readonly rungs: Dictionary<Rung>;
  readonly told: Told;
  readonly recent: RecentUse;
  readonly holds: Dictionary<Hold>;
  /** Turns that have calls under way, and how many. */
  readonly turns: Dictionary<number>;
  /** Two generations of endings: when the newer is full, the older is dropped. */
  readonly endings: Dictionary<Ending>;
  readonly olderEndings: Dictionary<Ending>;
  /** Reservations still open in the month before, counted here in full. */
  readonly carriedHolds: Dictionary<true>;
  /** Counters were last looked through for windows to forget, ms since the epoch. */
  readonly tidiedAtMs: number;
  readonly closing: Closing | null;
}

export function opened({
  window,
  openedAt,
  timeZone,
  plan,
  limits,
  topUps,
  exhausted,
  recent,
  ...carry
}: Data<'WindowOpened'>): OpenBudget {
  const bounds = boundsOf(plan, limits);
  const state: OpenBudget = {
    status: 'open',
    window,
    timeZone,
    plan,
    limits,
    bounds,
    meters: metersOf(bounds),
    counters: dictionary(),
    topUps,
    rungs: dictionary(),
    told: dictionary(exhausted.map((name) => [name, 100])),
    recent,
    holds: dictionary(),
    turns: dictionary(),
    endings: dictionary(),
    olderEndings: dictionary(),
    carriedHolds: dictionary(),
    tidiedAtMs: Date.parse(openedAt),
    closing: null,
  };
  return withCarry(state, carry);
}

export function withCarry(state: OpenBudget, { carried, carriedHolds }: Carry): OpenBudget {
  return {
    ...state,
    counters: withBalances(state.counters, carried),
    carriedHolds: dictionary([...entriesOf(state.carriedHolds), ...carriedHolds.map((id) => [id, true] as const)]),
  };
}

export function closed(state: OpenBudget, { next, closedAt }: Data<'WindowClosed'>): OpenBudget {
  const { timeZone, plan, limits, topUps, recent } = state;
  const carry = carryOf(state, Date.parse(closedAt));
  const exhausted = entriesOf(state.told)
    .filter(([name, percent]) => percent === 100 && balanceOfTold(name) in carry.carried)
    .map(([name]) => name)
    .slice(0, EXHAUSTED_CARRIED_MAX);
  return { ...state, closing: { next, timeZone, plan, limits, topUps, recent, exhausted, ...carry } };
}

/** Under another plan. What is spent of top-ups stays spent; what is held beyond the old allowance is measured by the new. */
export function withPlan(state: OpenBudget, { plan, assignedAt }: Data<'PlanAssigned'>): OpenBudget {
  // Not only of windows that go on: what began in yesterday's may yet end, by the new plan.
  const keys = entriesOf(state.counters).map(([key]) => key);
  let { topUps } = state;
  for (const allowance of allowancesOf(state, keys)) {
    const posted = get(state.counters, allowance.key)?.posted[allowance.unit] ?? 0n;
    const spent = posted > allowance.freeUpTo ? posted - allowance.freeUpTo : 0n;
    topUps = withUsed(topUps, allowance.unit, spent - beyond(state.counters, allowance));
  }
  const spentBefore: Record<string, bigint> = {};
  const asNew = {
    bounds: boundsOf({ plan, assignedAt, spentBefore: {} }, []),
    plan: { plan, assignedAt, spentBefore: {} },
  };
  for (const { unit, key } of allowancesOf(asNew, keys)) {
    const posted = get(state.counters, key)?.posted[unit] ?? 0n;
    if (posted > 0n) spentBefore[`${unit}|${key}`] = posted;
  }
  const next = withBounds({ ...state, plan: { plan, assignedAt, spentBefore } });
  for (const allowance of allowancesOf(next, keys)) {
    topUps = withUsed(topUps, allowance.unit, beyond(next.counters, allowance));
  }
  return { ...next, topUps };
}

function withUsed(topUps: TopUps, unit: Limit['unit'], more: bigint): TopUps {
  const topUp = topUpOf(topUps, unit);
  if (more === 0n) return topUps;
  const before = topUp ?? { unit, granted: 0n, used: 0n, topUpIds: [] };
  return [...topUps.filter((each) => each.unit !== unit), { ...before, used: before.used + more }];
}

export function withLimits(state: OpenBudget, limits: readonly Limit[]): OpenBudget {
  return withBounds({ ...state, limits });
}

export function withTopUp(state: OpenBudget, { unit, amount, topUpId }: Data<'ToppedUp'>): OpenBudget {
  return {
    ...state,
    topUps: toppedUp(state.topUps, unit, amount, topUpId),
    rungs: dictionary(),
  };
}

/**
 * What is counted for the first time starts with what is held now; what no limit counts any more is left as it is. Caps that
 * changed are a new ladder: nobody is held back for what was spent under the old.
 */
function withBounds(state: OpenBudget): OpenBudget {
  const bounds = boundsOf(state.plan, state.limits);
  const meters = metersOf(bounds);
  let { counters } = state;
  for (const [, held] of entriesOf(state.holds)) {
    const before = countersOf(state.meters, held);
    const after = countersOf(meters, held);
    for (const key of after) if (!before.includes(key)) counters = hold(counters, key, heldAmounts(held));
    for (const key of before) if (!after.includes(key)) counters = post(counters, key, heldAmounts(held), NOTHING);
  }
  return { ...state, bounds, meters, counters, rungs: dictionary() };
}

export function reserved(state: OpenBudget, data: Data<'Reserved'>): OpenBudget {
  const held: Hold = { ...data, timeZone: state.timeZone };
  const atMs = reservedAtMs(held);
  const tidied = atMs >= state.tidiedAtMs + HOUR_MS ? tidy(state, atMs) : state;
  const amounts = heldAmounts(held);
  let { counters } = tidied;
  for (const key of countersOf(tidied.meters, held)) counters = hold(counters, key, amounts);
  const { turnId } = held.attribution;
  return climb(
    {
      ...withCounters(tidied, counters, held),
      recent: admitted(tidied.recent, atMs, Number(amounts.tokens)),
      holds: put(tidied.holds, held.reservationId, held),
      turns: put(tidied.turns, turnId, (get(tidied.turns, turnId) ?? 0) + 1),
    },
    held.attribution,
    atMs,
    null,
  );
}

function tidy(state: OpenBudget, atMs: number): OpenBudget {
  // What was carried still held will be freed from counters that only the month before knows.
  if (state.carriedHolds.size > 0) return state;
  const counters = forget(state.counters, atMs - FORGET_AFTER_MS);
  if (counters === state.counters) return { ...state, tidiedAtMs: atMs };
  const isKept = (balance: string) => get(counters, balance.slice(balance.indexOf('|') + 1)) !== undefined;
  return {
    ...state,
    counters,
    rungs: dictionary(entriesOf(state.rungs).filter(([name]) => isKept(name.slice(name.indexOf('|') + 1)))),
    told: dictionary(entriesOf(state.told).filter(([name]) => isKept(balanceOfTold(name)))),
    tidiedAtMs: atMs,
  };
}

export function ended(
  state: OpenBudget,
  reservationId: string,
  how: 'released' | 'settled' | 'expired',
  used: (Used & { readonly estimated: boolean }) | null,
  atMs: number,
): OpenBudget {
  const held = get(state.holds, reservationId);
  if (!held) throw new Error('a reservation ended that was not open');
  const [heldThen, usedNow] = [heldAmounts(held), usedAmounts(held, used)];
  const keys = countersOf(state.meters, held);
  let { counters } = state;
  for (const key of keys) counters = post(counters, key, heldThen, usedNow);
  const { turnId } = held.attribution;
  const callsLeft = (get(state.turns, turnId) ?? 1) - 1;
  const ending: Ending = used
    ? {
        how: 'charged',
        costPico: used.costPico,
        estimated: used.estimated,
        expired: how === 'expired' ? { hold: held, usage: used.usage, keys } : null,
      }
    : { how: 'released' };
  const after: OpenBudget = {
    ...withCounters(state, counters, held),
    recent: corrected(state.recent, reservedAtMs(held), Number(usedNow.tokens - heldThen.tokens)),
    holds: remove(state.holds, reservationId),
    turns: callsLeft > 0 ? put(state.turns, turnId, callsLeft) : remove(state.turns, turnId),
    ...withEnding(state, reservationId, ending),
  };
  return climb(after, held.attribution, atMs, { held, used: usedNow });
}

function withEnding(state: OpenBudget, reservationId: string, ending: Ending) {
  const isFull = state.endings.size >= ENDINGS_MIN;
  return {
    endings: put(isFull ? dictionary<Ending>() : state.endings, reservationId, ending),
    olderEndings: isFull ? state.endings : state.olderEndings,
  };
}

/** What the limits take of an adjustment; below zero where the estimate was too much. */
export function adjustmentOf(data: Pick<Data<'SettlementAdjusted'>, 'bookedPico' | 'bookedTokens'>): Amounts {
  return { ...NOTHING, usd: data.bookedPico, tokens: BigInt(data.bookedTokens) };
}

/** An estimate replaced by the truth, as far as the limits take it. */
export function adjusted(state: OpenBudget, data: Data<'SettlementAdjusted'>): OpenBudget {
  const ending = endingOf(state, data.reservationId);
  if (ending?.how !== 'charged' || !ending.expired) throw new Error('what was adjusted had not expired');
  const { hold: held, usage, keys } = ending.expired;
  let { counters } = state;
  for (const key of keys) counters = post(counters, key, NOTHING, adjustmentOf(data));
  return {
    ...withCounters(state, counters, held),
    recent: corrected(state.recent, reservedAtMs(held), tokensOf(data.usage) - tokensOf(usage)),
    ...withEnding(state, data.reservationId, {
      how: 'charged',
      costPico: data.costPico,
      estimated: false,
      expired: null,
    }),
  };
}

/** A reservation that was carried here ended in the month before: what it did not use is free. */
export function carriedSettled(state: OpenBudget, { reservationId, freed }: Data<'CarriedSettled'>): OpenBudget {
  let { counters, topUps } = state;
  for (const [key, amounts] of balances(freed)) {
    const before = counters;
    counters = post(counters, key, NOTHING, minus(NOTHING, amounts));
    topUps = withUse(topUps, allowancesOf(state, [key]), before, counters);
  }
  return { ...state, counters, topUps, carriedHolds: remove(state.carriedHolds, reservationId) };
}

/** With other counters, and what follows from them for top-ups. Of counters, only those of one reservation's windows may differ. */
function withCounters(state: OpenBudget, counters: Counters, held: Hold): OpenBudget {
  const isExtended = state.bounds.some(({ topUps }) => topUps);
  if (!isExtended) return { ...state, counters };
  const topUps = withUse(state.topUps, allowancesIn(state, windowsOf(held)), state.counters, counters);
  return { ...state, counters, topUps };
}

/** Moves the bounds of somebody's use along the ladder, and lets what was just spent near a cap last. */
function climb(
  state: OpenBudget,
  whose: Attribution,
  atMs: number,
  spent: { readonly held: Hold; readonly used: Amounts } | null,
): OpenBudget {
  let { rungs } = state;
  for (const each of appliedTo(state, whose, atMs)) {
    if (!each.bound.hard) continue;
    const { step } = pressureOn(state, each);
    const rung = get(rungs, each.name);
    if (step === 'free') {
      if (rung) rungs = remove(rungs, each.name);
      continue;
    }
    // Who steps on the ladder is rationed from then on, also while nothing has been settled on it.
    let spentUntilMs = rung?.spentUntilMs ?? atMs;
    // A call that began in the window before was spent there.
    if (spent && isRationed(each) && windowKeyOf(each.key) === windowsOf(spent.held)[each.bound.window]) {
      const amount = spent.used[each.bound.unit];
      const base = Math.max(spentUntilMs, reservedAtMs(spent.held));
      spentUntilMs = base + lastsMs(amount, each.left + amount, paceMs(state, each, atMs));
    }
    if (rung?.step !== step || rung.spentUntilMs !== spentUntilMs)
      rungs = put(rungs, each.name, { step, spentUntilMs });
  }
  return rungs === state.rungs ? state : { ...state, rungs };
}

/** How a reservation ended, if that was lately. */
export function endingOf(state: OpenBudget, reservationId: string): Ending | undefined {
  return get(state.endings, reservationId) ?? get(state.olderEndings, reservationId);
}

/** The tenant's turns under way, but for one. Of a carried reservation the turn is not known: it counts as one. */
export function otherTurnsOf(state: OpenBudget, turnId: string): number {
  return state.turns.size - (get(state.turns, turnId) ? 1 : 0) + state.carriedHolds.size;
}
