import { Inject, Injectable } from '@nestjs/common';
import { FEED_DATABASE, Periodic, serviceContext } from '@reef/service';
import type { Pool } from 'pg';
import { Books } from './books.js';
import { EXPIRED_AT_ONCE_MAX } from './domain/budget.js';

const SWEEP_EVERY_MS = 1_000;
const BOOKS_PER_PAGE = 100;
const PAGES_MAX = 50;

/** Charges reservations that nobody settled in time. Several instances may sweep at once: the books charge each one once. */
@Injectable()
export class Sweeper {
  constructor(
    periodic: Periodic,
    private readonly books: Books,
    @Inject(FEED_DATABASE) private readonly feed: Pool,
  ) {
    periodic.every(SWEEP_EVERY_MS, 'charge expired reservations', () => this.sweep());
  }

  /** @returns when nothing that was overdue is left, or when the pages of one sweep are used up. */
  async sweep(): Promise<void> {
    for (let page = 1; page <= PAGES_MAX; page++) {
      const nowMs = Date.now();
      const { rows } = await this.feed.query<{ tenant_id: string; month: string; overdue: number }>(
        `select tenant_id, month, count(*)::int as overdue from view.ledger
         where status = 'held' and expires_at <= $1
         group by tenant_id, month order by min(expires_at) limit $2`,
        [new Date(nowMs), BOOKS_PER_PAGE],
      );
      await Promise.all(
        rows.map(({ tenant_id, month }) =>
          this.books.end(
            serviceContext(tenant_id, 'budgets'),
            month,
            { type: 'expire', data: { nowMs, withNext: false } },
            () => undefined,
          ),
        ),
      );
      if (rows.length < BOOKS_PER_PAGE && rows.every(({ overdue }) => overdue <= EXPIRED_AT_ONCE_MAX)) return;
    }
  }
}
