import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { type budgets, type OutputOf, PLATFORM, type Result, type TenantContext } from '@reef/contracts';
import { EventStore, inTenants } from '@reef/eventing';
import { newId } from '@reef/messaging';
import { DATABASE, Periodic, serviceContext } from '@reef/service';
import type { Pool } from 'pg';
import type { Price } from './domain/money.js';
import { announcedIn, priceAt, priceBook, type PriceBook, type PriceBookCommand } from './domain/price-book.js';
import { PRICE_BOOK, prices } from './streams.js';

/** Another instance's publication is known here after this long, ms. */
const READ_EVERY_MS = 5_000;
/** An unknown model makes the book be read again, but not more often than this, ms. */
const READ_AGAIN_MS = 500;

/** Today's prices in memory. */
@Injectable()
export class PriceList implements OnApplicationBootstrap {
  #book: PriceBook = priceBook.initial;
  #version = 0;
  #readAtMs = -Infinity;

  constructor(
    private readonly store: EventStore,
    private readonly periodic: Periodic,
    @Inject(DATABASE) private readonly database: Pool,
  ) {}

  /** Publishes the built-in catalogue. Several instances may do so at once: what is already known is not an event. */
  async onApplicationBootstrap(): Promise<void> {
    const { catalogueAt } = await import('./catalogue.js');
    const nowMs = Date.now();
    const catalogue = catalogueAt(nowMs);
    const context = serviceContext(PLATFORM, 'budgets', newId());
    const published = await this.publish(context, { prices: catalogue, source: 'catalogue', nowMs });
    if (!published.ok) throw new Error(`the catalogue could not be published: ${published.message}`);
    this.periodic.every(READ_EVERY_MS, 'read the price book', () => this.#read());
  }

  async publish(context: TenantContext, data: PriceBookCommand['data']): Promise<Result<{ priceVersion: number }>> {
    const result = await this.store.execute(prices, {
      tenant: PLATFORM,
      stream: PRICE_BOOK,
      command: { type: 'publish', data },
      context,
      reply: ({ priceVersion }) => ({ priceVersion }),
    });
    if (result.ok) await this.#read();
    return result;
  }

  /** The price in force now and the publication it stands in; null for a model that nobody priced. */
  async priceOf(model: string): Promise<{ price: Price; priceVersion: number } | null> {
    let known = priceAt(this.#book, model, Date.now());
    if (!known && performance.now() - this.#readAtMs >= READ_AGAIN_MS) {
      await this.#read();
      known = priceAt(this.#book, model, Date.now());
    }
    return known && { price: known.price, priceVersion: known.priceVersion };
  }

  /** What the record has in force now, and announced. */
  async current(): Promise<OutputOf<typeof budgets.queries.prices>> {
    await this.#read();
    return { priceVersion: this.#book.priceVersion, prices: announcedIn(this.#book, Date.now()) };
  }

  async #read(): Promise<void> {
    this.#readAtMs = performance.now();
    // The whole book is a thousand prices; nearly always it has not changed.
    const version = await inTenants(this.database, [PLATFORM], async (client) => {
      const { rows } = await client.query<{ version: number }>(
        'select version from es.stream where tenant_id = $1 and stream_id = $2',
        [PLATFORM, PRICE_BOOK],
      );
      return rows[0]?.version ?? 0;
    });
    if (version <= this.#version) return;
    const loaded = await this.store.load(prices, PLATFORM, PRICE_BOOK);
    if (loaded.version <= this.#version) return; // Another read was faster.
    this.#book = loaded.state;
    this.#version = loaded.version;
  }
}
