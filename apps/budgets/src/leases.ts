import { Inject, Injectable } from '@nestjs/common';
import type { budgets, InputOf } from '@reef/contracts';
import { FEED_DATABASE } from '@reef/service';
import type { Pool } from 'pg';

type Heard = InputOf<typeof budgets.commands.extend>;

/** A worker that was not heard of for so long is dead, ms; it says something every 3 s. */
export const DEAD_AFTER_MS = 9_000;
/** What nobody needs any more is deleted after this long. */
const FORGET_AFTER = '1 hour';

/**
 * Who was heard of last when, and how much output of a call was seen by then. Observations, like the time: what follows from them is
 * an event, they themselves are not.
 */
@Injectable()
export class Leases {
  constructor(@Inject(FEED_DATABASE) private readonly database: Pool) {}

  async heard({ worker, calls }: Heard): Promise<void> {
    await this.database.query(
      `with seen as (
         insert into es.worker (worker, seen_at) values ($1, now())
         on conflict (worker) do update set seen_at = excluded.seen_at
       )
       insert into es.checkpoint as known (tenant_id, reservation_id, output_tokens_seen, seen_at)
       select tenant, id, tokens, now() from unnest($2::text[], $3::uuid[], $4::int[]) as heard(tenant, id, tokens)
       order by tenant collate "C", id
       on conflict (tenant_id, reservation_id) do update set
         output_tokens_seen = greatest(known.output_tokens_seen, excluded.output_tokens_seen), seen_at = excluded.seen_at`,
      [
        worker,
        calls.map(({ tenant }) => tenant),
        calls.map(({ reservationId }) => reservationId),
        calls.map(({ outputTokensSeen }) => outputTokensSeen),
      ],
    );
  }

  /** The books that have something to charge: overdue reservations, and those of workers that are dead. */
  async overdue(
    booksMax: number,
  ): Promise<{ tenant: string; month: string; deadWorkers: string[]; overdue: number }[]> {
    const { rows } = await this.database.query<{
      tenant_id: string;
      month: string;
      workers: string[];
      overdue: number;
    }>(
      `select l.tenant_id, l.month, count(*)::int as overdue,
         array_remove(array_agg(distinct case when dead then l.worker end), null) as workers
       from (
         select held.*, held.worker is not null
           and coalesce(w.seen_at, held.reserved_at) < now() - make_interval(secs => $1)
           and held.reserved_at < now() - make_interval(secs => $1) as dead
         from view.ledger held left join es.worker w on w.worker = held.worker
         where held.status = 'held'
       ) l
       where l.expires_at <= now() or dead
       group by l.tenant_id, l.month order by min(l.expires_at) limit $2`,
      [DEAD_AFTER_MS / 1_000, booksMax],
    );
    return rows.map(({ tenant_id, month, workers, overdue }) => ({
      tenant: tenant_id,
      month,
      deadWorkers: workers,
      overdue,
    }));
  }

  /** The output seen of a tenant's calls that are still under way. */
  async seenOf(tenant: string): Promise<Record<string, number>> {
    const { rows } = await this.database.query<{ reservation_id: string; output_tokens_seen: number }>(
      `select c.reservation_id, c.output_tokens_seen from es.checkpoint c
       join view.ledger l on l.tenant_id = c.tenant_id and l.reservation_id = c.reservation_id and l.status = 'held'
       where c.tenant_id = $1`,
      [tenant],
    );
    return Object.fromEntries(rows.map((row) => [row.reservation_id, row.output_tokens_seen]));
  }

  async forget(): Promise<void> {
    await this.database.query(`delete from es.checkpoint where seen_at < now() - interval '${FORGET_AFTER}'`);
    await this.database.query(
      `delete from es.worker w where seen_at < now() - interval '${FORGET_AFTER}'
       and not exists (select from view.ledger l where l.worker = w.worker and l.status = 'held')`,
    );
  }
}
