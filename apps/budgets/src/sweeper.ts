import { Injectable } from '@nestjs/common';
import { Periodic, serviceContext } from '@reef/service';
import { Books } from './books.js';
import { EXPIRED_AT_ONCE_MAX } from './domain/budget.js';
import { Leases } from './leases.js';

const SWEEP_EVERY_MS = 1_000;
/** A worker that lives is heard again this long after there is somebody to listen: it speaks every 3 s, and again soon if it was not heard. */
const LISTENS_FIRST_MS = 5_000;
const FORGET_EVERY_MS = 10 * 60_000;
const BOOKS_PER_PAGE = 100;
const PAGES_MAX = 50;

/** Charges reservations that nobody will settle. Several instances may sweep at once: the books charge each one once. */
@Injectable()
export class Sweeper {
  readonly #judgesFromMs = Date.now() + LISTENS_FIRST_MS;

  constructor(
    periodic: Periodic,
    private readonly books: Books,
    private readonly leases: Leases,
  ) {
    periodic.every(SWEEP_EVERY_MS, 'charge expired reservations', () => this.sweep());
    periodic.every(FORGET_EVERY_MS, 'forget old leases', () => leases.forget());
  }

  /** @returns when nothing that was overdue is left, or when the pages of one sweep are used up. */
  async sweep(): Promise<void> {
    for (let page = 1; page <= PAGES_MAX; page++) {
      const nowMs = Date.now();
      const found = await this.leases.overdue(BOOKS_PER_PAGE);
      await Promise.all(
        found.map(async ({ tenant, month, deadWorkers }) => {
          const data = {
            nowMs,
            withNext: false,
            // Who could not be heard while this process was not there to listen gets the time to be heard.
            deadWorkers: nowMs < this.#judgesFromMs ? [] : deadWorkers,
            outputTokensSeen: await this.leases.seenOf(tenant),
          };
          await this.books.end(serviceContext(tenant, 'budgets'), month, { type: 'expire', data }, () => undefined);
        }),
      );
      if (found.length < BOOKS_PER_PAGE && found.every(({ overdue }) => overdue <= EXPIRED_AT_ONCE_MAX)) return;
    }
  }
}
