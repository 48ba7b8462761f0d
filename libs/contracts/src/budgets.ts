import { z } from 'zod';
import { command, event, query, service } from './declare.js';
import { limit, limitScope, limitStanding, limitUnit, limitWindow, pressure, timeZone } from './limits.js';
import { plan, planId, planLimit, topUpStanding } from './plans.js';
import { modelId, price, prices, PricesPublished, publishPrices, usage } from './pricing.js';
import {
  agentId,
  amount,
  count,
  emptyObject,
  endUser,
  instant,
  page,
  pageOf,
  picoUsd,
  sessionKey,
  tenantId,
  uuid,
} from './values.js';

export const turnSource = z.enum(['chat', 'agent', 'schedule', 'heartbeat']);

/** The calendar month in UTC whose books hold a reservation. */
export const monthKey = z.string().regex(/^\d{4}-(0[1-9]|1[0-2])$/, 'use YYYY-MM');

/** Whose turn it is: every picodollar is attributed to these. */
export const attribution = z.strictObject({
  turnId: uuid,
  agent: agentId,
  user: endUser.nullable(),
  session: sessionKey,
  keyId: z.string().max(64).nullable(),
  model: modelId,
  source: turnSource,
});

/** A process that makes model calls. */
export const workerId = z.string().regex(/^[\x21-\x7e]{1,100}$/);

const PLAN_BEFORE_PLANS = {
  plan: 'starter',
  name: 'Starter',
  pricePico: '0',
  markupBasisPoints: 0,
  limits: [],
  rates: { requestsPerMinute: null, tokensPerMinute: null, concurrentTurns: null },
  weight: 1,
  paceOverSeconds: 3_600,
};

/** How much of a rate a tenant has used within the last minute, as it stood when a call was admitted. */
export const rateStanding = z.object({
  rate: z.enum(['requestsPerMinute', 'tokensPerMinute', 'concurrentTurns']),
  cap: count,
  left: count,
  /** When something of it is free again, ms from now; 0 where something is. */
  resetMs: count,
});

/** What a tenant's books know of its plan. */
const planInForce = z.object({
  plan,
  assignedAt: instant,
  /** What was spent already when the plan came: of the allowance, and no more of top-ups. By `unit|window|scope`. */
  spentBefore: z.record(z.string(), amount),
});

export const budgets = service('budgets', {
  commands: {
    /** Gives a new tenant its first limits; doing it again changes nothing. */
    openTenant: command({ input: emptyObject, output: emptyObject }),
    /** Replaces the tenant's own limits, which narrow its plan's; what is already spent stays spent. */
    setLimits: command({
      input: z.strictObject({ limits: z.array(limit).max(50) }),
      output: emptyObject,
      /** `limit_unending`: a limit on each one separately (`*`) needs a window that ends, or its balances would pile up for ever. */
      refusals: ['cap_negative', 'cap_absurd', 'limit_repeated', 'scope_id_missing', 'limit_unending'],
    }),
    /** From now on hours, days, weeks and months begin by this zone's clock; what the current ones hold goes with their names. */
    setTimeZone: command({ input: z.strictObject({ timeZone }), output: emptyObject, refusals: ['time_zone_unknown'] }),
    /** By an operator: the tenant's plan from now on. What its current windows hold counts against the new plan. */
    assignPlan: command({
      input: z.strictObject({ plan: planId }),
      output: emptyObject,
      refusals: ['plan_unknown'],
    }),
    /** By an operator: more of a unit, once for each `topUpId`. */
    topUp: command({
      input: z.strictObject({ topUpId: uuid, unit: limitUnit, amount }),
      output: z.object({ topUps: z.array(topUpStanding) }),
      /** `top_up_useless`: no limit of the plan is extended by this unit. */
      refusals: ['amount_not_positive', 'cap_absurd', 'top_up_useless', 'top_up_reused'],
    }),
    /** Sets aside the upper bound of one model call, on every limit that applies, or on none. */
    reserve: command({
      input: z.strictObject({
        reservationId: uuid,
        attribution,
        inputTokensMax: count.max(10_000_000),
        /** What the input has most likely, for an estimate where usage never arrives; the bound where nothing is said. */
        inputTokensLikely: count.max(10_000_000).optional(),
        outputTokensMax: count.min(1).max(1_000_000),
        /** Whether this is the turn's first call, which counts as a message. */
        firstOfTurn: z.boolean(),
        /** Who makes the call: when it was not heard of for nine seconds, the reservation is charged by estimate and closed. */
        worker: workerId,
        /** When an unsettled reservation is charged and closed although its worker lives. */
        expiresAt: instant,
      }),
      output: z.object({
        /** Perhaps fewer than asked for: the call must be clamped to it. */
        outputTokensMax: count,
        heldPico: picoUsd,
        /** The stream in which the reservation lives; settle names it. */
        window: monthKey,
        pressure,
        rates: z.array(rateStanding),
        /** The tenant's share where turns wait for a model. */
        weight: count,
      }),
      /**
       * `budget_exhausted` stays until a window ends or a cap is raised. `rate_limited` and `paced` (held back near a cap) pass by
       * themselves: `details.retryAfterMs` says when. `call_too_large` is larger than a minute's tokens: it never fits.
       */
      refusals: ['budget_exhausted', 'rate_limited', 'paced', 'call_too_large', 'unpriced_model', 'reservation_reused'],
    }),
    /** Under the `platform` context, by dispatch: a worker lives, and so much of its calls' output has been seen. */
    extend: command({
      input: z.strictObject({
        worker: workerId,
        calls: z
          .array(z.strictObject({ tenant: tenantId, reservationId: uuid, outputTokensSeen: count.max(100_000_000) }))
          .max(2_000),
      }),
      output: emptyObject,
    }),
    /** Books what a call really used, once, and frees the rest. Without usage the bound is charged and marked estimated. */
    settle: command({
      input: z.strictObject({
        reservationId: uuid,
        window: monthKey,
        outcome: z.enum(['completed', 'failed', 'cancelled']),
        usage: usage.nullable(),
        /** Output tokens that were seen streaming, for an estimate when usage never arrived. */
        outputTokensSeen: count,
      }),
      output: z.object({ costPico: picoUsd, estimated: z.boolean() }),
      refusals: ['reservation_unknown'],
    }),
    /** Frees a reservation whose call was never made. */
    release: command({
      input: z.strictObject({ reservationId: uuid, window: monthKey }),
      output: emptyObject,
      refusals: ['reservation_unknown', 'already_settled'],
    }),
    publishPrices,
    /** Under the `platform` context, by an operator: new or changed plans. Tenants keep the plan they were assigned as it was. */
    publishPlans: command({
      input: z.strictObject({ plans: z.array(plan).min(1).max(100) }),
      output: emptyObject,
      refusals: [
        'cap_negative',
        'cap_absurd',
        'limit_repeated',
        'scope_id_missing',
        'limit_unending',
        'plan_repeated',
        'top_ups_misplaced',
      ],
    }),
  },
  queries: {
    balance: query({
      input: emptyObject,
      output: z.object({
        plan: z.object({ plan: planId, name: z.string() }),
        timeZone: z.string(),
        limits: z.array(limitStanding),
        topUps: z.array(topUpStanding),
        rates: z.array(rateStanding),
        pressure,
      }),
    }),
    /** As they were set: the tenant's own, and its plan's. */
    limits: query({
      input: emptyObject,
      output: z.object({ limits: z.array(limit), planLimits: z.array(planLimit) }),
    }),
    /** Under the `platform` context. */
    plans: query({ input: emptyObject, output: z.object({ plans: z.array(plan) }) }),
    /** What a tenant owes for a month (UTC): exact but for `totalUsd`, which is rounded to the cent, half up. */
    invoice: query({
      input: z.strictObject({ month: monthKey }),
      output: z.object({
        month: monthKey,
        plan: z.object({ plan: planId, name: z.string(), pricePico: picoUsd }).nullable(),
        usagePico: picoUsd,
        markupBasisPoints: count,
        markupPico: picoUsd,
        totalCents: amount,
      }),
    }),
    ledger: query({
      input: z.strictObject({ ...page }),
      output: pageOf(
        z.object({
          reservationId: uuid,
          status: z.enum(['held', 'settled', 'released', 'expired']),
          attribution,
          heldPico: picoUsd,
          costPico: picoUsd.nullable(),
          usage: usage.nullable(),
          estimated: z.boolean(),
          reservedAt: instant,
        }),
      ),
    }),
    prices,
    asOf: query({
      input: z.strictObject({ at: instant }),
      output: z.object({ limits: z.array(limitStanding) }),
    }),
  },
  events: {
    WindowOpened: event(
      z.object({
        window: monthKey,
        openedAt: instant,
        timeZone,
        plan: planInForce,
        /** The tenant's own. */
        limits: z.array(limit),
        topUps: z.array(topUpStanding.extend({ topUpIds: z.array(uuid) })),
        /** Limits of windows that outlast the month, of which it was told that they are used up: `unit|window|scope|hard|cap`. */
        exhausted: z.array(z.string()),
        /** Calls of the last minute, by second since 1970. */
        recent: z.array(z.object({ second: z.int(), requests: count, tokens: count })),
        /** What windows that outlast the month bring along, spent and held: `unit|window|scope` → amount. */
        carried: z.record(z.string(), amount),
        /** Reservations still open in the month before: they are carried in full, and corrected by `CarriedSettled`. */
        carriedHolds: z.array(uuid),
      }),
      {
        schemaVersion: 2,
        upcast: {
          // Before there were plans, a tenant's own limits were all there was.
          1: (data) => ({
            ...data,
            timeZone: 'UTC',
            plan: { plan: PLAN_BEFORE_PLANS, assignedAt: data['openedAt'], spentBefore: {} },
            topUps: [],
            exhausted: [],
            recent: [],
          }),
        },
      },
    ),
    /** More of what `WindowOpened` carries, where one message cannot hold it. */
    BalancesCarried: event(z.object({ carried: z.record(z.string(), amount), carriedHolds: z.array(uuid) })),
    /** The month's books are closed: what is open in it can still be settled, nothing more is reserved in it. */
    WindowClosed: event(z.object({ window: monthKey, next: monthKey, closedAt: instant })),
    /** A carried reservation ended in the month before; what it did not use is freed here: `unit|window|scope` → amount. */
    CarriedSettled: event(z.object({ reservationId: uuid, freed: z.record(z.string(), amount), settledAt: instant })),
    LimitsSet: event(z.object({ limits: z.array(limit), setAt: instant })),
    TimeZoneSet: event(z.object({ timeZone, setAt: instant })),
    PlanAssigned: event(z.object({ plan, assignedAt: instant })),
    ToppedUp: event(z.object({ topUpId: uuid, unit: limitUnit, amount, toppedUpAt: instant })),
    /** For the first time in its window, a limit has been used up to this part. */
    ThresholdCrossed: event(
      z.object({
        scope: limitScope,
        /** Whose use it was, where the limit is on each. */
        scopeId: z.string().nullable(),
        window: limitWindow,
        /** Such as `2026-11`. */
        windowKey: z.string(),
        windowEndsAt: instant.nullable(),
        unit: limitUnit,
        thresholdPercent: z.union([z.literal(50), z.literal(80), z.literal(90), z.literal(100)]),
        cap: amount,
        posted: amount,
        hard: z.boolean(),
        crossedAt: instant,
      }),
    ),
    Reserved: event(
      z.object({
        reservationId: uuid,
        attribution,
        inputTokensMax: count,
        inputTokensLikely: count.optional(),
        outputTokensMax: count,
        firstOfTurn: z.boolean(),
        heldPico: picoUsd,
        price,
        priceVersion: count,
        worker: workerId.nullable(),
        reservedAt: instant,
        expiresAt: instant,
      }),
      { schemaVersion: 2, upcast: { 1: (data) => ({ ...data, worker: null }) } },
    ),
    Settled: event(
      z.object({
        reservationId: uuid,
        attribution,
        outcome: z.enum(['completed', 'failed', 'cancelled']),
        usage,
        heldPico: picoUsd,
        costPico: picoUsd,
        estimated: z.boolean(),
        /** What the provider reported beyond the bound; booked, and a matter for the operator. */
        providerExcessTokens: count,
        priceVersion: count,
        reservedAt: instant,
        settledAt: instant,
      }),
    ),
    Released: event(
      z.object({ reservationId: uuid, attribution, heldPico: picoUsd, reservedAt: instant, releasedAt: instant }),
    ),
    /** A reservation that nobody settled in time: charged by estimate. */
    ReservationExpired: event(
      z.object({
        reservationId: uuid,
        attribution,
        usage,
        heldPico: picoUsd,
        costPico: picoUsd,
        priceVersion: count,
        reservedAt: instant,
        expiredAt: instant,
      }),
    ),
    /** An expired reservation's caller told the truth after all; the estimate is replaced by it. */
    SettlementAdjusted: event(
      z.object({
        reservationId: uuid,
        attribution,
        usage,
        heldPico: picoUsd,
        costPico: picoUsd,
        /** What the estimate had been, and is no more. */
        estimatedPico: picoUsd,
        /**
         * What the limits take of the difference, pico-USD and tokens. Others may have used what the expiry freed: what no longer fits
         * under a cap is the platform's loss, not an overshoot.
         */
        bookedPico: picoUsd,
        bookedTokens: z.int(),
        priceVersion: count,
        reservedAt: instant,
        adjustedAt: instant,
      }),
    ),
    PricesPublished,
    PlansPublished: event(z.object({ plans: z.array(plan), publishedAt: instant })),
  },
});
