import { defineEntity } from '@mikro-orm/core';
import type { Usage } from '@reef/contracts';
import type { Projection, Row } from '@reef/eventing/pure';
import type { Budget, BudgetEvent } from '../domain/budget.js';
import type { Attribution } from '../domain/limits.js';

export const LedgerRow = defineEntity({
  name: 'LedgerRow',
  tableName: 'ledger',
  schema: 'view',
  properties: (p) => ({
    tenantId: p.string().primary(),
    month: p.string().primary(),
    reservationId: p.uuid().primary(),
    status: p.enum(['held', 'settled', 'released', 'expired'] as const),
    attribution: p.json<Attribution>(),
    heldPico: p.decimal('string'),
    costPico: p.decimal('string').nullable(),
    usage: p.json<Usage>().nullable(),
    estimated: p.boolean(),
    reservedAt: p.datetime(),
    expiresAt: p.datetime().nullable(),
  }),
});

/** One row for each reservation, from the first hold to the final cost. */
export const ledger: Projection<Budget, BudgetEvent> = {
  table: 'ledger',
  key: ['month', 'reservation_id'],
  rows: ({ stream, events }) => {
    const month = stream.slice(stream.indexOf('/') + 1);
    return events.flatMap((event) => {
      const row = rowOf(event);
      return row ? [{ upsert: { month, ...row } }] : [];
    });
  },
};

// Each event tells the whole reservation, so a row needs no earlier one.
function rowOf(event: BudgetEvent): Row | null {
  switch (event.type) {
    case 'Reserved':
      return { ...shared(event), status: 'held', expires_at: event.data.expiresAt, worker: event.data.worker };
    case 'Settled':
      return { ...shared(event), status: 'settled', ...charged(event.data), estimated: event.data.estimated };
    case 'ReservationExpired':
      return { ...shared(event), status: 'expired', ...charged(event.data), estimated: true };
    case 'SettlementAdjusted': {
      // What no longer fitted under a cap is the platform's loss, not on the tenant's account.
      const costPico = event.data.estimatedPico + event.data.bookedPico;
      return { ...shared(event), status: 'settled', ...charged({ ...event.data, costPico }), estimated: false };
    }
    case 'Released':
      return { ...shared(event), status: 'released' };
    default:
      return null;
  }
}

type OfReservation = Extract<
  BudgetEvent,
  { type: 'Reserved' | 'Settled' | 'ReservationExpired' | 'SettlementAdjusted' | 'Released' }
>;

function shared({ data }: OfReservation) {
  return {
    reservation_id: data.reservationId,
    attribution: data.attribution,
    held_pico: data.heldPico,
    cost_pico: null,
    usage: null,
    estimated: false,
    reserved_at: data.reservedAt,
    expires_at: null,
    worker: null,
  };
}

const charged = ({ costPico, usage }: { costPico: bigint; usage: Usage }) => ({ cost_pico: costPico, usage });
