import type { budgets, EventOf, InputOf, Refusal } from '@reef/contracts';
import { type Decider, refuse, unreachable } from '@reef/eventing/pure';
import { type Applied, appliedTo } from './bounds.js';
import { carryInPieces, type Opening } from './carry.js';
import { type Amounts, minus, UNITS } from './counters.js';
import { entriesOf, get, put } from './dictionary.js';
import { grant } from './grant.js';
import { countersOf, estimateOf, heldAmounts, type Hold, reservedAtMs, tokensOf, usedAmounts } from './hold.js';
import { CAP_MAX, checkedLimits, type Limit } from './limits.js';
import { costPico, inputTokensOf, outputTokensOf, type Price } from './money.js';
import {
  adjusted,
  adjustmentOf,
  carriedSettled,
  closed,
  ended,
  endingOf,
  opened,
  type OpenBudget,
  otherTurnsOf,
  reserved,
  withCarry,
  withLimits,
  withPlan,
  withTopUp,
} from './open-budget.js';
import { STARTER } from './plan.js';
import { crossed, crossedBy, toldNameOf } from './thresholds.js';
import { isTimeZone } from './time-zone.js';
import { topUpOf } from './top-ups.js';
import { HOUR_MS, withinMonth } from './windows.js';

/** A reservation is charged and closed after this long at the latest, whatever it asked for. */
export const HOLD_LASTS_MAX_MS = 24 * HOUR_MS;
/** Open reservations of a tenant; far beyond what it can run at once. */
export const HOLDS_MAX = 50_000;
/** Different agents, users and keys that are counted, times their windows. */
export const COUNTERS_MAX = 50_000;
/** Expired reservations that one command charges. */
export const EXPIRED_AT_ONCE_MAX = 100;

type Data<Type extends keyof (typeof budgets)['events']> = EventOf<typeof budgets, Type>['data'];

/** A tenant's books for one calendar month in UTC. */
export type Budget = { readonly status: 'unopened' } | OpenBudget;

type Timed<Input> = Input & { readonly nowMs: number };
/** A closed month is settled only together with `settleCarried` in the next, or what the hold did not use would be lost there. */
type Settling<Input> = Timed<Input> & { readonly withNext: boolean };

export type BudgetCommand =
  | { type: 'open'; data: Timed<Opening> & { window: string } }
  | { type: 'close'; data: Timed<{ next: string }> }
  | { type: 'setLimits'; data: Timed<{ limits: readonly Limit[] }> }
  | { type: 'setTimeZone'; data: Timed<{ timeZone: string }> }
  | { type: 'assignPlan'; data: Timed<{ plan: Data<'PlanAssigned'>['plan'] }> }
  | { type: 'topUp'; data: Timed<InputOf<typeof budgets.commands.topUp>> }
  | { type: 'reserve'; data: Timed<InputOf<typeof budgets.commands.reserve>> & { price: Price; priceVersion: number } }
  | { type: 'settle'; data: Settling<InputOf<typeof budgets.commands.settle>> }
  | { type: 'release'; data: Settling<InputOf<typeof budgets.commands.release>> }
  /** Charges what is overdue, what dead workers held, and what a turn held that has ended: nobody lives who could settle it. */
  | {
      type: 'expire';
      data: Settling<{
        turnId?: string;
        deadWorkers: readonly string[];
        /** What was last heard of a call's output. */
        outputTokensSeen: Readonly<Record<string, number>>;
      }>;
    }
  /** A reservation was refused for want of room in a bound. */
  | { type: 'noteExhausted'; data: Timed<{ name: string; attribution: Data<'Reserved'>['attribution'] }> }
  | { type: 'settleCarried'; data: Timed<{ settled: readonly Omit<Data<'CarriedSettled'>, 'settledAt'>[] }> };

export type BudgetEvent = Exclude<EventOf<typeof budgets>, { type: 'PricesPublished' | 'PlansPublished' }>;

export type BudgetRefusal =
  | 'window_unopened'
  | 'window_closed'
  | 'cap_negative'
  | 'cap_absurd'
  | 'limit_repeated'
  | 'scope_id_missing'
  | 'limit_unending'
  | 'time_zone_unknown'
  | 'amount_not_positive'
  | 'top_up_useless'
  | 'top_up_reused'
  | 'budget_exhausted'
  | 'rate_limited'
  | 'paced'
  | 'call_too_large'
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
      case 'setTimeZone':
        return setTimeZone(command.data, state);
      case 'assignPlan':
        return assignPlan(command.data, state);
      case 'topUp':
        return topUp(command.data, state);
      case 'reserve':
        return reserve(command.data, state);
      case 'settle':
        return settle(command.data, state);
      case 'release':
        return release(command.data, state);
      case 'expire':
        return expire(command.data, state);
      case 'noteExhausted':
        return noteExhausted(command.data, state);
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
        return closed(state, event.data);
      case 'LimitsSet':
        return withLimits(state, event.data.limits);
      case 'TimeZoneSet':
        return { ...state, timeZone: event.data.timeZone };
      case 'PlanAssigned':
        return withPlan(state, event.data);
      case 'ToppedUp':
        return withTopUp(state, event.data);
      case 'Reserved':
        return reserved(state, event.data);
      case 'Settled':
        return ended(state, event.data.reservationId, 'settled', event.data, Date.parse(event.data.settledAt));
      case 'ReservationExpired': {
        const used = { ...event.data, estimated: true };
        return ended(state, event.data.reservationId, 'expired', used, Date.parse(event.data.expiredAt));
      }
      case 'Released':
        return ended(state, event.data.reservationId, 'released', null, Date.parse(event.data.releasedAt));
      case 'SettlementAdjusted':
        return adjusted(state, event.data);
      case 'ThresholdCrossed':
        return { ...state, told: put(state.told, toldNameOf(event), event.data.thresholdPercent) };
      case 'CarriedSettled':
        return carriedSettled(state, event.data);
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

/** What a tenant begins with that nobody has dealt with yet. */
export const FRESH: Opening = {
  timeZone: 'UTC',
  plan: { plan: STARTER, assignedAt: new Date(0).toISOString(), spentBefore: {} },
  limits: [],
  topUps: [],
  exhausted: [],
  recent: [],
  carried: {},
  carriedHolds: [],
};

function open({ window, nowMs, carried, carriedHolds, ...standing }: CommandData<'open'>): Decision {
  const [first, ...more] = carryInPieces({ carried, carriedHolds });
  return [
    event('WindowOpened', {
      ...standing,
      limits: [...standing.limits],
      topUps: [...standing.topUps],
      exhausted: [...standing.exhausted],
      recent: [...standing.recent],
      window,
      openedAt: instant(withinMonth(window, nowMs)),
      ...first,
    }),
    ...more.map((piece) => event('BalancesCarried', piece)),
  ];
}

function close({ next, nowMs }: CommandData<'close'>, state: OpenBudget): Decision {
  if (state.closing) return [];
  return [event('WindowClosed', { window: state.window, next, closedAt: instant(nowMs) })];
}

const isClosed = ({ next }: { next: string }) =>
  refuse('window_closed', 'the books of this month are closed', { next });

function setLimits({ limits, nowMs }: CommandData<'setLimits'>, state: OpenBudget): Decision {
  if (state.closing) return isClosed(state.closing);
  const checked = checkedLimits(limits);
  if ('ok' in checked) return checked;
  return [event('LimitsSet', { limits: [...checked], setAt: instant(withinMonth(state.window, nowMs)) })];
}

function setTimeZone({ timeZone, nowMs }: CommandData<'setTimeZone'>, state: OpenBudget): Decision {
  if (state.closing) return isClosed(state.closing);
  if (!isTimeZone(timeZone)) return refuse('time_zone_unknown', 'there is no such time zone', { timeZone });
  if (timeZone === state.timeZone) return [];
  return [event('TimeZoneSet', { timeZone, setAt: instant(withinMonth(state.window, nowMs)) })];
}

function assignPlan({ plan, nowMs }: CommandData<'assignPlan'>, state: OpenBudget): Decision {
  if (state.closing) return isClosed(state.closing);
  return [event('PlanAssigned', { plan, assignedAt: instant(withinMonth(state.window, nowMs)) })];
}

function topUp({ topUpId, unit, amount, nowMs }: CommandData<'topUp'>, state: OpenBudget): Decision {
  if (state.closing) return isClosed(state.closing);
  const other = state.topUps.find((each) => each.topUpIds.includes(topUpId));
  if (other && other.unit !== unit)
    return refuse('top_up_reused', 'this top-up was of another unit', { unit: other.unit });
  if (other) return []; // A retry: booked already.
  if (amount <= 0n) return refuse('amount_not_positive', 'a top-up is more than nothing');
  const before = topUpOf(state.topUps, unit);
  if ((before?.granted ?? 0n) + amount > CAP_MAX) return refuse('cap_absurd', 'so much cannot be topped up');
  if (!state.bounds.some((bound) => bound.topUps && bound.unit === unit)) {
    return refuse('top_up_useless', `no limit of the plan ${state.plan.plan.plan} is extended by ${unit}`, { unit });
  }
  return [event('ToppedUp', { topUpId, unit, amount, toppedUpAt: instant(nowMs) })];
}

function reserve(call: CommandData<'reserve'>, state: OpenBudget): Decision {
  const granted = get(state.holds, call.reservationId);
  if (granted) {
    if (isSameCall(granted, call)) return []; // A retry: already granted.
    return refuse('reservation_reused', 'this reservation is about another call');
  }
  if (endingOf(state, call.reservationId) || get(state.carriedHolds, call.reservationId))
    return refuse('reservation_reused', 'this reservation was made before');
  if (state.closing) return isClosed(state.closing);
  if (state.holds.size >= HOLDS_MAX) return refuse('overloaded', `a tenant may have ${HOLDS_MAX} calls under way`);
  if (state.counters.size >= COUNTERS_MAX) {
    return refuse('overloaded', `limits may count ${COUNTERS_MAX} agents, users and keys in a month`);
  }

  const atMs = withinMonth(state.window, call.nowMs);
  const otherTurns = otherTurnsOf(state, call.attribution.turnId);
  const decision = grant(state, appliedTo(state, call.attribution, atMs), { ...call, otherTurns }, atMs);
  if (!decision.ok) return decision;
  const expiresAtMs = Math.min(Date.parse(call.expiresAt), atMs + HOLD_LASTS_MAX_MS);
  return [
    event('Reserved', {
      reservationId: call.reservationId,
      attribution: call.attribution,
      inputTokensMax: call.inputTokensMax,
      ...(call.inputTokensLikely !== undefined && {
        inputTokensLikely: Math.min(call.inputTokensLikely, call.inputTokensMax),
      }),
      outputTokensMax: decision.value.outputTokensMax,
      firstOfTurn: call.firstOfTurn,
      heldPico: decision.value.heldPico,
      price: call.price,
      priceVersion: call.priceVersion,
      worker: call.worker,
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
    const ending = endingOf(state, call.reservationId);
    if (ending?.how !== 'charged') return refuse('reservation_unknown', 'there is no such reservation to settle');
    if (!ending.expired || !call.usage || state.closing) return []; // A retry, or charged for good.
    return adjust(state, ending.expired, { ...call, usage: call.usage }, ending.costPico);
  }
  if (state.closing && !call.withNext) return isClosed(state.closing);
  const usage = call.usage ?? estimateOf(held, call.outputTokensSeen);
  const excessTokens =
    Math.max(0, inputTokensOf(usage) - held.inputTokensMax) + Math.max(0, outputTokensOf(usage) - held.outputTokensMax);
  const settled = event('Settled', {
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
  });
  return [settled, ...thresholdsOf(state, held, usedAmounts(held, settled.data), call.nowMs)];
}

/** The truth about a reservation that was charged by estimate when its worker seemed dead. */
function adjust(
  state: OpenBudget,
  { hold: held, usage: estimate }: { hold: Hold; usage: Data<'Settled'>['usage'] },
  { usage, nowMs }: { usage: Data<'Settled'>['usage']; nowMs: number },
  estimatedPico: bigint,
): BudgetEvent[] {
  const cost = costPico(held.price, usage);
  const tokens = tokensOf(usage) - tokensOf(estimate);
  const applied = appliedAt(state, held).filter(({ bound }) => bound.hard);
  const fitting = (unit: Limit['unit'], more: bigint) =>
    applied.reduce((fits, each) => {
      const left = each.left > 0n ? each.left : 0n;
      return each.bound.unit === unit && left < fits ? left : fits;
    }, more);
  const truth = event('SettlementAdjusted', {
    reservationId: held.reservationId,
    attribution: held.attribution,
    usage,
    heldPico: held.heldPico,
    costPico: cost,
    estimatedPico,
    bookedPico: fitting('usd', cost - estimatedPico),
    bookedTokens: Number(fitting('tokens', BigInt(tokens))),
    priceVersion: held.priceVersion,
    reservedAt: held.reservedAt,
    adjustedAt: instant(nowMs),
  });
  return [truth, ...thresholdsOf(state, held, adjustmentOf(truth.data), nowMs)];
}

/** The bounds that a reservation counts against: in the windows it was made in. */
function appliedAt(state: OpenBudget, held: Hold): Applied[] {
  return appliedTo({ ...state, timeZone: held.timeZone }, held.attribution, reservedAtMs(held));
}

function thresholdsOf(state: OpenBudget, held: Hold, used: Amounts, nowMs: number): BudgetEvent[] {
  const at = { atMs: reservedAtMs(held), timeZone: held.timeZone };
  return crossedBy(appliedAt(state, held), used, at, nowMs, state.told);
}

function release(call: CommandData<'release'>, state: OpenBudget): Decision {
  const held = get(state.holds, call.reservationId);
  if (!held) {
    const ending = endingOf(state, call.reservationId);
    if (!ending) return refuse('reservation_unknown', 'there is no such reservation to release');
    return ending.how === 'released' ? [] : refuse('already_settled', 'this reservation was charged already');
  }
  if (state.closing && !call.withNext) return isClosed(state.closing);
  const { reservationId, attribution, heldPico, reservedAt } = held;
  return [event('Released', { reservationId, attribution, heldPico, reservedAt, releasedAt: instant(call.nowMs) })];
}

function expire(
  { nowMs, withNext, turnId, deadWorkers, outputTokensSeen }: CommandData<'expire'>,
  state: OpenBudget,
): Decision {
  const now = instant(nowMs);
  const dead = new Set(deadWorkers);
  const expired = entriesOf(state.holds)
    .map(([, held]) => held)
    .filter(
      (held) =>
        held.expiresAt <= now || held.attribution.turnId === turnId || (held.worker !== null && dead.has(held.worker)),
    )
    .sort((a, b) => (a.expiresAt + a.reservationId < b.expiresAt + b.reservationId ? -1 : 1))
    .slice(0, EXPIRED_AT_ONCE_MAX);
  if (expired.length > 0 && state.closing && !withNext) return isClosed(state.closing);
  const events: BudgetEvent[] = [];
  let standing = state; // A threshold that one of them crosses, the next does not.
  for (const held of expired) {
    const usage = estimateOf(held, outputTokensSeen[held.reservationId] ?? 0);
    const charged = event('ReservationExpired', {
      reservationId: held.reservationId,
      attribution: held.attribution,
      usage,
      heldPico: held.heldPico,
      costPico: costPico(held.price, usage),
      priceVersion: held.priceVersion,
      reservedAt: held.reservedAt,
      expiredAt: now,
    });
    events.push(charged, ...thresholdsOf(standing, held, usedAmounts(held, charged.data), nowMs));
    standing = ended(standing, held.reservationId, 'expired', { ...charged.data, estimated: true }, nowMs);
  }
  return events;
}

function noteExhausted({ name, attribution, nowMs }: CommandData<'noteExhausted'>, state: OpenBudget): Decision {
  if (state.closing) return [];
  const atMs = withinMonth(state.window, nowMs);
  const found = appliedTo(state, attribution, atMs).find((each) => each.bound.hard && each.name === name);
  if (!found) return []; // Its window is over.
  const posted = found.counter?.posted[found.bound.unit] ?? 0n;
  const exhausted = crossed(found, 100n, posted, { atMs, timeZone: state.timeZone }, nowMs);
  return get(state.told, toldNameOf(exhausted)) === 100 ? [] : [exhausted];
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
  for (const key of countersOf(state.meters, held)) {
    for (const unit of UNITS) {
      const name = `${unit}|${key}`;
      if (unused[unit] !== 0n && name in state.closing.carried) freed[name] = unused[unit];
    }
  }
  return { reservationId, freed };
}
