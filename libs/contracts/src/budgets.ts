import { z } from 'zod';
import { command, event, query, service } from './declare.js';
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
  uuid,
} from './values.js';

export const limitScope = z.enum(['tenant', 'agent', 'user', 'key']);
export const limitWindow = z.enum(['hour', 'day', 'week', 'month', 'total']);
export const limitUnit = z.enum(['usd', 'tokens', 'messages', 'requests']);
export const turnSource = z.enum(['chat', 'agent', 'schedule', 'heartbeat']);

/** The calendar month in UTC whose books hold a reservation. */
export const monthKey = z.string().regex(/^\d{4}-(0[1-9]|1[0-2])$/, 'use YYYY-MM');

/** A cap on what a scope may use within a window. USD caps are in pico-USD, the others are plain counts. */
export const limit = z.strictObject({
  scope: limitScope,
  /** Which agent, user or key; absent for the tenant. A limit on every agent alike is `*`. */
  scopeId: z.string().min(1).max(256).nullable().default(null),
  window: limitWindow,
  unit: limitUnit,
  cap: amount,
  /** A soft limit is reported and never refuses. */
  hard: z.boolean().default(true),
});

export const pressure = z.object({
  /** (posted + held) ÷ cap of the tightest hard limit; 0–1, more if a limit was lowered below what is spent. */
  utilisation: z.number().nonnegative(),
  step: z.enum(['free', 'paced', 'background_waits', 'interactive_only', 'refused']),
});

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

export const limitStanding = z.object({
  scope: limitScope,
  scopeId: z.string().nullable(),
  window: limitWindow,
  unit: limitUnit,
  cap: amount,
  posted: amount,
  held: amount,
  left: amount,
  windowEndsAt: instant.nullable(),
  hard: z.boolean(),
});

export const budgets = service('budgets', {
  commands: {
    /** Gives a new tenant its first limits; doing it again changes nothing. */
    openTenant: command({ input: emptyObject, output: emptyObject }),
    /** Replaces all limits; what is already spent stays spent. */
    setLimits: command({
      input: z.strictObject({ limits: z.array(limit).max(50) }),
      output: emptyObject,
      /** `limit_unending`: a limit on each one separately (`*`) needs a window that ends, or its balances would pile up for ever. */
      refusals: ['cap_negative', 'limit_repeated', 'scope_id_missing', 'limit_unending'],
    }),
    /** Sets aside the upper bound of one model call, on every limit that applies, or on none. */
    reserve: command({
      input: z.strictObject({
        reservationId: uuid,
        attribution,
        inputTokensMax: count.max(10_000_000),
        outputTokensMax: count.min(1).max(1_000_000),
        /** Whether this is the turn's first call, which counts as a message. */
        firstOfTurn: z.boolean(),
        /** When an unsettled reservation is charged by estimate and closed. */
        expiresAt: instant,
      }),
      output: z.object({
        /** Perhaps fewer than asked for: the call must be clamped to it. */
        outputTokensMax: count,
        heldPico: picoUsd,
        /** The stream in which the reservation lives; settle names it. */
        window: monthKey,
        pressure,
      }),
      refusals: ['budget_exhausted', 'unpriced_model', 'reservation_reused'],
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
  },
  queries: {
    balance: query({ input: emptyObject, output: z.object({ limits: z.array(limitStanding), pressure }) }),
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
        limits: z.array(limit),
        /** What windows that outlast the month bring along, spent and held: `unit|window|scope` → amount. */
        carried: z.record(z.string(), amount),
        /** Reservations still open in the month before: they are carried in full, and corrected by `CarriedSettled`. */
        carriedHolds: z.array(uuid),
      }),
    ),
    /** More of what `WindowOpened` carries, where one message cannot hold it. */
    BalancesCarried: event(z.object({ carried: z.record(z.string(), amount), carriedHolds: z.array(uuid) })),
    /** The month's books are closed: what is open in it can still be settled, nothing more is reserved in it. */
    WindowClosed: event(z.object({ window: monthKey, next: monthKey, closedAt: instant })),
    /** A carried reservation ended in the month before; what it did not use is freed here: `unit|window|scope` → amount. */
    CarriedSettled: event(z.object({ reservationId: uuid, freed: z.record(z.string(), amount), settledAt: instant })),
    LimitsSet: event(z.object({ limits: z.array(limit), setAt: instant })),
    Reserved: event(
      z.object({
        reservationId: uuid,
        attribution,
        inputTokensMax: count,
        outputTokensMax: count,
        firstOfTurn: z.boolean(),
        heldPico: picoUsd,
        price,
        priceVersion: count,
        reservedAt: instant,
        expiresAt: instant,
      }),
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
    PricesPublished,
  },
});
