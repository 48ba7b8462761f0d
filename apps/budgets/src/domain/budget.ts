import type { budgets, EventOf, InputOf, Refusal, Usage } from '@reef/contracts';
import { type Decider, refuse, unreachable } from '@reef/eventing/pure';
import { balances, type Carry, carryInPieces, carryOf, withBalances } from './carry.js';
import { type Amounts, type Counters, forget, hold, minus, NOTHING, post, UNITS } from './counters.js';
import { type Dictionary, dictionary, entriesOf, get, put, remove } from './dictionary.js';
import { grant } from './grant.js';
import { checkedLimits, counterKeys, type Limit, type Meter, metersOf } from './limits.js';
import { costPico, inputTokensOf, outputTokensOf, type Price } from './money.js';
import { HOUR_MS, withinMonth } from './windows.js';

/** A reservation is charged and closed after this long at the latest, whatever it asked for. */
export const HOLD_LASTS_MAX_MS = 24 * HOUR_MS;
/** Open reservations of a tenant; far beyond what it can run at once. */
export const HOLDS_MAX = 50_000;
/** Different agents, users and keys that are counted, times their windows. */
export const COUNTERS_MAX = 50_000;
/** Expired reservations that one command charges. */
export const EXPIRED_AT_ONCE_MAX = 100;
/** A window is forgotten this long after its end: so far may the clocks of two instances be apart. */
export const FORGET_AFTER_MS = HOUR_MS;
/** The newest endings are remembered here, so many at least and twice as many at most; the ledger knows all. */
export const ENDINGS_MIN = 128;

type Data<Type extends keyof (typeof budgets)['events']> = EventOf<typeof budgets, Type>['data'];
export type Hold = Data<'Reserved'>;

/** How a reservation ended. */
export type Ending =
  { readonly how: 'charged'; readonly costPico: bigint; readonly estimated: boolean } | { readonly how: 'released' };

/** What was carried to the next month when this one was closed. */
export interface Closing extends Carry {
  readonly next: string;
}

/** A tenant's books for one calendar month in UTC. */
export type Budget = { readonly status: 'unopened' } | OpenBudget;
export interface OpenBudget {
  readonly status: 'open';
  /** The month, such as `2026-11`. */
  readonly window: string;
  readonly limits: readonly Limit[];
  readonly meters: readonly Meter[];
  readonly counters: Counters;
  readonly holds: Dictionary<Hold>;
  /** Two generations of endings: when the newer is full, the older is dropped. */
  readonly endings: Dictionary<Ending>;
  readonly olderEndings: Dictionary<Ending>;
  /** Reservations still open in the month before, counted here in full. */
  readonly carriedHolds: Dictionary<true>;
  /** Counters were last looked through for windows to forget, ms since the epoch. */
  readonly tidiedAtMs: number;
  readonly closing: Closing | null;
}

type Timed<Input> = Input & { readonly nowMs: number };
/** A closed month is settled only together with `settleCarried` in the next, or what the hold did not use would be lost there. */
type Settling<Input> = Timed<Input> & { readonly withNext: boolean };

export type BudgetCommand =
  | { type: 'open'; data: Timed<Carry> & { window: string; limits: readonly Limit[] } }
  | { type: 'close'; data: Timed<{ next: string }> }
  | { type: 'setLimits'; data: Timed<{ limits: readonly Limit[] }> }
  | { type: 'reserve'; data: Timed<InputOf<typeof budgets.commands.reserve>> & { price: Price; priceVersion: number } }
  | { type: 'settle'; data: Settling<InputOf<typeof budgets.commands.settle>> }
  | { type: 'release'; data: Settling<InputOf<typeof budgets.commands.release>> }
  /** Of a turn that is named, every reservation has expired: nobody lives who could settle it. */
  | { type: 'expire'; data: Settling<{ turnId?: string }> }
  | { type: 'settleCarried'; data: Timed<{ settled: readonly Omit<Data<'CarriedSettled'>, 'settledAt'>[] }> };

export type BudgetEvent = EventOf<
  typeof budgets,
  | 'WindowOpened'
  | 'BalancesCarried'
  | 'WindowClosed'
  | 'LimitsSet'
  | 'Reserved'
  | 'Settled'
  | 'Released'
  | 'ReservationExpired'
  | 'CarriedSettled'
>;

export type BudgetRefusal =
  | 'window_unopened'
  | 'window_closed'
  | 'cap_negative'
  | 'limit_repeated'
  | 'scope_id_missing'
  | 'limit_unending'
  | 'budget_exhausted'
  | 'reservation_reused'
  | 'reservation_unknown'
  | 'already_settled'
  | 'overloaded';

export const budget: Decider<Budget, BudgetCommand, BudgetEvent, BudgetRefusal> = {
  initial: { status: 'unopened' },

  decide(command, state) {
    if (state.status === 'unopened') {
      if (command.type === 'open') return open(command.data);
      return refuse('window_unopened', 'the books of this month are not opened');
    }
    switch (command.type) {
      case 'open':
        return []; // Somebody else met the new month first.
      case 'close':
        return close(command.data, state);
      case 'setLimits':
        return setLimits(command.data, state);
      case 'reserve':
        return reserve(command.data, state);
      case 'settle':
        return settle(command.data, state);
      case 'release':
        return release(command.data, state);
      case 'expire':
        return expire(command.data, state);
      case 'settleCarried':
        return command.data.settled
          .filter(({ reservationId }) => get(state.carriedHolds, reservationId))
          .map((settled) => event('CarriedSettled', { ...settled, settledAt: instant(command.data.nowMs) }));
      default:
        return unreachable(command);
    }
  },

  evolve(state, event) {
    if (event.type === 'WindowOpened') return opened(event.data);
    if (state.status === 'unopened') throw new Error(`${event.type} in a month that was not opened`);
    switch (event.type) {
      case 'BalancesCarried':
        return withCarry(state, event.data);
      case 'WindowClosed':
        return { ...state, closing: { next: event.data.next, ...carryOf(state, Date.parse(event.data.closedAt)) } };
      case 'LimitsSet':
        return withLimits(state, event.data.limits);
      case 'Reserved':
        return reserved(state, event.data);
      case 'Settled':
      case 'ReservationExpired': {
        const estimated = event.type === 'ReservationExpired' || event.data.estimated;
        const ending: Ending = { how: 'charged', costPico: event.data.costPico, estimated };
        return ended(state, event.data.reservationId, ending, event.data);
      }
      case 'Released':
        return ended(state, event.data.reservationId, { how: 'released' }, null);
      case 'CarriedSettled': {
        let { counters } = state;
        for (const [key, freed] of balances(event.data.freed))
          counters = post(counters, key, NOTHING, minus(NOTHING, freed));
        return { ...state, counters, carriedHolds: remove(state.carriedHolds, event.data.reservationId) };
      }
      default:
        return unreachable(event);
    }
  },
};

const instant = (nowMs: number) => new Date(nowMs).toISOString();

function event<Type extends BudgetEvent['type']>(type: Type, data: Data<Type>) {
  return { type, data } as Extract<BudgetEvent, { type: Type }>;
}

type Decision = readonly BudgetEvent[] | Refusal<BudgetRefusal>;
type CommandData<Type extends BudgetCommand['type']> = Extract<BudgetCommand, { type: Type }>['data'];

function open({ window, limits, nowMs, ...carry }: CommandData<'open'>): Decision {
  const [first, ...more] = carryInPieces(carry);
  return [
    event('WindowOpened', { window, openedAt: instant(withinMonth(window, nowMs)), limits: [...limits], ...first }),
    ...more.map((piece) => event('BalancesCarried', piece)),
  ];
}

function close({ next, nowMs }: CommandData<'close'>, state: OpenBudget): Decision {
  if (state.closing) return [];
  return [event('WindowClosed', { window: state.window, next, closedAt: instant(nowMs) })];
}

const closed = ({ next }: Closing) => refuse('window_closed', 'the books of this month are closed', { next });

function setLimits({ limits, nowMs }: CommandData<'setLimits'>, state: OpenBudget): Decision {
  if (state.closing) return closed(state.closing);
  const checked = checkedLimits(limits);
  if ('ok' in checked) return checked;
  return [event('LimitsSet', { limits: checked, setAt: instant(withinMonth(state.window, nowMs)) })];
}

function reserve(call: CommandData<'reserve'>, state: OpenBudget): Decision {
  const granted = get(state.holds, call.reservationId);
  if (granted) {
    if (isSameCall(granted, call)) return []; // A retry: already granted.
    return refuse('reservation_reused', 'this reservation is about another call');
  }
  if (endingOf(state, call.reservationId) || get(state.carriedHolds, call.reservationId))
    return refuse('reservation_reused', 'this reservation was made before');
  if (state.closing) return closed(state.closing);
  if (state.holds.size >= HOLDS_MAX) return refuse('overloaded', `a tenant may have ${HOLDS_MAX} calls under way`);
  if (state.counters.size >= COUNTERS_MAX) {
    return refuse('overloaded', `limits may count ${COUNTERS_MAX} agents, users and keys in a month`);
  }

  const atMs = withinMonth(state.window, call.nowMs);
  const decision = grant(state, call, atMs);
  if (!decision.ok) return decision;
  const expiresAtMs = Math.min(Date.parse(call.expiresAt), atMs + HOLD_LASTS_MAX_MS);
  return [
    event('Reserved', {
      reservationId: call.reservationId,
      attribution: call.attribution,
      inputTokensMax: call.inputTokensMax,
      outputTokensMax: decision.value.outputTokensMax,
      firstOfTurn: call.firstOfTurn,
      heldPico: decision.value.heldPico,
      price: call.price,
      priceVersion: call.priceVersion,
      reservedAt: instant(atMs),
      expiresAt: instant(expiresAtMs),
    }),
  ];
}

function isSameCall(held: Hold, call: CommandData<'reserve'>): boolean {
  return (
    held.attribution.turnId === call.attribution.turnId &&
    held.attribution.model === call.attribution.model &&
    held.inputTokensMax === call.inputTokensMax &&
    held.outputTokensMax <= call.outputTokensMax &&
    held.firstOfTurn === call.firstOfTurn
  );
}

function settle(call: CommandData<'settle'>, state: OpenBudget): Decision {
  const held = get(state.holds, call.reservationId);
  if (!held) {
    if (endingOf(state, call.reservationId)?.how === 'charged') return []; // A retry, or too late: charged already.
    return refuse('reservation_unknown', 'there is no such reservation to settle');
  }
  if (state.closing && !call.withNext) return closed(state.closing);
  const usage = call.usage ?? estimateOf(held, call.outputTokensSeen);
  const excessTokens =
    Math.max(0, inputTokensOf(usage) - held.inputTokensMax) + Math.max(0, outputTokensOf(usage) - held.outputTokensMax);
  return [
    event('Settled', {
      reservationId: call.reservationId,
      attribution: held.attribution,
      outcome: call.outcome,
      usage,
      heldPico: held.heldPico,
      costPico: costPico(held.price, usage),
      estimated: call.usage === null,
      providerExcessTokens: excessTokens,
      priceVersion: held.priceVersion,
      reservedAt: held.reservedAt,
      settledAt: instant(call.nowMs),
    }),
  ];
}

function release(call: CommandData<'release'>, state: OpenBudget): Decision {
  const held = get(state.holds, call.reservationId);
  if (!held) {
    const ending = endingOf(state, call.reservationId);
    if (!ending) return refuse('reservation_unknown', 'there is no such reservation to release');
    return ending.how === 'released' ? [] : refuse('already_settled', 'this reservation was charged already');
  }
  if (state.closing && !call.withNext) return closed(state.closing);
  const { reservationId, attribution, heldPico, reservedAt } = held;
  return [event('Released', { reservationId, attribution, heldPico, reservedAt, releasedAt: instant(call.nowMs) })];
}

function expire({ nowMs, withNext, turnId }: CommandData<'expire'>, state: OpenBudget): Decision {
  const now = instant(nowMs);
  const expired = entriesOf(state.holds)
    .map(([, held]) => held)
    .filter((held) => held.expiresAt <= now || held.attribution.turnId === turnId)
    .sort((a, b) => (a.expiresAt + a.reservationId < b.expiresAt + b.reservationId ? -1 : 1))
    .slice(0, EXPIRED_AT_ONCE_MAX);
  if (expired.length > 0 && state.closing && !withNext) return closed(state.closing);
  return expired.map((held) => {
    // The call may have reached the provider before its caller died, so its input is charged in full.
    const usage = estimateOf(held, 0);
    return event('ReservationExpired', {
      reservationId: held.reservationId,
      attribution: held.attribution,
      usage,
      heldPico: held.heldPico,
      costPico: costPico(held.price, usage),
      priceVersion: held.priceVersion,
      reservedAt: held.reservedAt,
      expiredAt: now,
    });
  });
}

function estimateOf(held: Hold, outputTokens: number): Usage {
  const inputTokens = held.inputTokensMax;
  return { inputTokens, cacheReadTokens: 0, cacheWriteTokens: 0, outputTokens, reasoningTokens: 0 };
}

/** How a reservation ended, if that was lately. */
export function endingOf(state: OpenBudget, reservationId: string): Ending | undefined {
  return get(state.endings, reservationId) ?? get(state.olderEndings, reservationId);
}

/** What a month must tell the next when a reservation that was carried there ends here. */
export function freedBy(state: Budget, ended: BudgetEvent): Omit<Data<'CarriedSettled'>, 'settledAt'> | null {
  if (ended.type !== 'Settled' && ended.type !== 'ReservationExpired' && ended.type !== 'Released') return null;
  if (state.status === 'unopened' || !state.closing) return null;
  const { reservationId } = ended.data;
  const held = get(state.holds, reservationId);
  if (!held) return null;
  const unused = minus(heldAmounts(held), usedAmounts(held, ended.type === 'Released' ? null : ended.data));
  const freed: Record<string, bigint> = {};
  for (const { key } of countersOf(state.meters, held)) {
    for (const unit of UNITS) {
      const name = `${unit}|${key}`;
      if (unused[unit] !== 0n && name in state.closing.carried) freed[name] = unused[unit];
    }
  }
  return { reservationId, freed };
}

function opened({ window, openedAt, limits, carried, carriedHolds }: Data<'WindowOpened'>): OpenBudget {
  const state: OpenBudget = {
    status: 'open',
    window,
    limits,
    meters: metersOf(limits),
    counters: dictionary(),
    holds: dictionary(),
    endings: dictionary(),
    olderEndings: dictionary(),
    carriedHolds: dictionary(),
    tidiedAtMs: Date.parse(openedAt),
    closing: null,
  };
  return withCarry(state, { carried, carriedHolds });
}

function withCarry(state: OpenBudget, { carried, carriedHolds }: Carry): OpenBudget {
  return {
    ...state,
    counters: withBalances(state.counters, carried, state.window),
    carriedHolds: dictionary([...entriesOf(state.carriedHolds), ...carriedHolds.map((id) => [id, true] as const)]),
  };
}

/** What is counted for the first time starts with what is held now; what no limit counts any more is left as it is. */
function withLimits(state: OpenBudget, limits: readonly Limit[]): OpenBudget {
  const meters = metersOf(limits);
  let { counters } = state;
  for (const [, held] of entriesOf(state.holds)) {
    const before = countersOf(state.meters, held);
    const after = countersOf(meters, held);
    const atMs = Date.parse(held.reservedAt);
    for (const { key, window } of after) {
      if (!before.some((old) => old.key === key)) counters = hold(counters, key, window, atMs, heldAmounts(held));
    }
    for (const { key } of before) {
      if (!after.some((now) => now.key === key)) counters = post(counters, key, heldAmounts(held), NOTHING);
    }
  }
  return { ...state, limits, meters, counters };
}

function reserved(state: OpenBudget, held: Hold): OpenBudget {
  let { counters, tidiedAtMs } = state;
  const atMs = Date.parse(held.reservedAt);
  if (atMs >= tidiedAtMs + HOUR_MS) {
    counters = forget(counters, atMs - FORGET_AFTER_MS);
    tidiedAtMs = atMs;
  }
  const amounts = heldAmounts(held);
  for (const { key, window } of countersOf(state.meters, held)) counters = hold(counters, key, window, atMs, amounts);
  return { ...state, counters, tidiedAtMs, holds: put(state.holds, held.reservationId, held) };
}

function ended(state: OpenBudget, reservationId: string, ending: Ending, used: Used | null): OpenBudget {
  const held = get(state.holds, reservationId);
  if (!held) throw new Error('a reservation ended that was not open');
  let { counters } = state;
  const [heldThen, usedNow] = [heldAmounts(held), usedAmounts(held, used)];
  for (const { key } of countersOf(state.meters, held)) counters = post(counters, key, heldThen, usedNow);
  const isFull = state.endings.size >= ENDINGS_MIN;
  return {
    ...state,
    counters,
    holds: remove(state.holds, reservationId),
    endings: put(isFull ? dictionary<Ending>() : state.endings, reservationId, ending),
    olderEndings: isFull ? state.endings : state.olderEndings,
  };
}

/** A reservation counts in the windows it was made in, whenever it ends. */
function countersOf(meters: readonly Meter[], held: Hold) {
  return counterKeys(meters, held.attribution, Date.parse(held.reservedAt));
}

function heldAmounts(held: Hold): Amounts {
  return {
    usd: held.heldPico,
    tokens: BigInt(held.inputTokensMax + held.outputTokensMax),
    messages: held.firstOfTurn ? 1n : 0n,
    requests: 1n,
  };
}

interface Used {
  readonly usage: Usage;
  readonly costPico: bigint;
}

function usedAmounts(held: Hold, used: Used | null): Amounts {
  if (!used) return NOTHING;
  return {
    usd: used.costPico,
    tokens: BigInt(inputTokensOf(used.usage) + outputTokensOf(used.usage)),
    messages: held.firstOfTurn ? 1n : 0n,
    requests: 1n,
  };
}
