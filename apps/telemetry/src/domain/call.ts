import type { budgets, EventOf } from '@reef/contracts';

export type CallEvent = EventOf<
  typeof budgets,
  'Reserved' | 'Released' | 'ReservationExpired' | 'Settled' | 'SettlementAdjusted'
>;
type Settled = Extract<CallEvent, { type: 'Settled' }>['data'];

/** A reservation's standing only climbs: a settlement that comes after the expiry replaces the estimate by the truth. */
export const standing = { held: 0, released: 1, expired: 2, settled: 3 } as const;

/** A model call as the newest of its events tells it: each of them tells the whole reservation. */
export interface Call {
  readonly reservationId: string;
  readonly attribution: Settled['attribution'];
  readonly reservedAt: string;
  readonly heldPico: bigint;
  readonly standing: number;
  /** Since when it stands so. */
  readonly since: string;
  /** Absent while it is held, and for ever when it was released. */
  readonly charge: { readonly costPico: bigint; readonly usage: Settled['usage']; readonly estimated: boolean } | null;
}

export function callOf(event: CallEvent): Call {
  const { reservationId, attribution, reservedAt, heldPico } = event.data;
  const call = { reservationId, attribution, reservedAt, heldPico };
  switch (event.type) {
    case 'Reserved':
      return { ...call, standing: standing.held, since: reservedAt, charge: null };
    case 'Released':
      return { ...call, standing: standing.released, since: event.data.releasedAt, charge: null };
    case 'ReservationExpired': {
      const { costPico, usage, expiredAt } = event.data;
      return { ...call, standing: standing.expired, since: expiredAt, charge: { costPico, usage, estimated: true } };
    }
    case 'SettlementAdjusted': {
      const { costPico, usage, adjustedAt } = event.data;
      return { ...call, standing: standing.settled, since: adjustedAt, charge: { costPico, usage, estimated: false } };
    }
    case 'Settled': {
      const { costPico, usage, estimated, settledAt } = event.data;
      return { ...call, standing: standing.settled, since: settledAt, charge: { costPico, usage, estimated } };
    }
  }
}

/**
 * Which of two reports about one call holds. Commutative, associative and idempotent, so that neither the order of events nor
 * their repetition matters; an equal standing is settled by time and amount.
 */
export function joinCalls(one: Call, other: Call): Call {
  if (one.standing !== other.standing) return one.standing > other.standing ? one : other;
  const [sinceMs, otherSinceMs] = [Date.parse(one.since), Date.parse(other.since)];
  if (sinceMs !== otherSinceMs) return sinceMs > otherSinceMs ? one : other;
  return (one.charge?.costPico ?? 0n) >= (other.charge?.costPico ?? 0n) ? one : other;
}
