import { rowsOf } from './books.js';
import type { Stack } from './stack.js';

/** A tenant's use of its cap after one event of its books, pico-USD. */
export interface UseAt {
  readonly atMs: number;
  readonly postedPico: bigint;
  readonly heldPico: bigint;
}

interface EventRow {
  readonly type: string;
  readonly data: { reservationId: string; heldPico: string; costPico: string; bookedPico: string };
  readonly occurred_at: Date;
}

/**
 * What was posted and held after every event of a tenant's books, summed up here once more and not by the service: with what is held
 * by whom, a few lines that share no code with it.
 */
export async function usesOf(stack: Stack, tenant: string): Promise<readonly UseAt[]> {
  const rows = await rowsOf<EventRow>(
    stack,
    'budgets',
    `select type, data, occurred_at from es.event where tenant_id = $1 and stream_id like 'budget/%' order by stream_id, version`,
    [tenant],
  );
  const held = new Map<string, bigint>();
  let [postedPico, heldPico] = [0n, 0n];
  return rows.map(({ type, data, occurred_at }) => {
    const { reservationId } = data;
    if (type === 'Reserved') {
      held.set(reservationId, BigInt(data.heldPico));
      heldPico += BigInt(data.heldPico);
    }
    if (type === 'Settled' || type === 'ReservationExpired' || type === 'Released') {
      heldPico -= held.get(reservationId) ?? 0n;
      held.delete(reservationId);
    }
    if (type === 'Settled' || type === 'ReservationExpired') postedPico += BigInt(data.costPico);
    if (type === 'SettlementAdjusted') postedPico += BigInt(data.bookedPico);
    return { atMs: occurred_at.getTime(), postedPico, heldPico };
  });
}

/** A call of a tenant as the ledger has it; its end user is the label of its turn. */
export interface LedgerCall {
  readonly label: string;
  readonly status: 'held' | 'settled' | 'released' | 'expired';
  readonly estimated: boolean;
  readonly heldPico: bigint;
  readonly costPico: bigint | null;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

export async function ledgerCalls(stack: Stack, tenant: string): Promise<readonly LedgerCall[]> {
  const rows = await rowsOf<Omit<LedgerCall, 'heldPico' | 'costPico'> & { heldPico: string; costPico: string | null }>(
    stack,
    'budgets',
    `select attribution->>'user' as label, status, estimated, held_pico::text as "heldPico", cost_pico::text as "costPico",
       coalesce((usage->>'inputTokens')::int + (usage->>'cacheReadTokens')::int + (usage->>'cacheWriteTokens')::int
         + (usage->>'cacheWrite1hTokens')::int, 0) as "inputTokens",
       coalesce((usage->>'outputTokens')::int, 0) as "outputTokens"
     from view.ledger where tenant_id = $1`,
    [tenant],
  );
  return rows.map((row) => ({
    ...row,
    heldPico: BigInt(row.heldPico),
    costPico: row.costPico === null ? null : BigInt(row.costPico),
  }));
}

/** How long ago something was last heard of the worker of the hold that has waited longest, seconds; 0 where nothing is held. */
export async function longestSilenceSeconds(stack: Stack): Promise<number> {
  const [row] = await rowsOf<{ seconds: number }>(
    stack,
    'budgets',
    `select coalesce(max(extract(epoch from now() - greatest(w.seen_at, l.reserved_at))), 0)::float8 as seconds
     from view.ledger l left join es.worker w on w.worker = l.worker where l.status = 'held'`,
  );
  return row?.seconds ?? 0;
}
