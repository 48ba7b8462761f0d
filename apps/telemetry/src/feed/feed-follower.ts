import { type BeforeApplicationShutdown, Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { inTenants } from '@reef/eventing';
import { consumeBatches, type EventConsumer, type FeedEvent } from '@reef/messaging';
import { DATABASE, InjectLogger, NATS } from '@reef/service';
import type { Pool } from 'pg';
import { type Facts, factsOf } from './facts.js';
import { FeedLag } from './feed-lag.js';
import { foldFacts, recordAudit, TRANSACTION_LIMIT_MS } from './fold.js';

const BATCH_MAX = 256;
const LINGER_MS = 20;

type Nats = Parameters<typeof consumeBatches>[0];
interface Logger {
  error(fields: object, message: string): void;
}

/** Follows everybody's events and folds each batch in one transaction. */
@Injectable()
export class FeedFollower implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #lag = new FeedLag();
  #consumer: EventConsumer | null = null;

  constructor(
    @Inject(NATS) private readonly nats: Nats,
    @Inject(DATABASE) private readonly database: Pool,
    @InjectLogger() private readonly logger: Logger,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    this.#consumer = await consumeBatches(this.nats, {
      durable: 'telemetry',
      batchMax: BATCH_MAX,
      lingerMs: LINGER_MS,
      deliver: (events) => this.#deliver(events),
      onBug: (error) => {
        this.#lag.failed();
        this.logger.error({ err: error }, 'events could not be folded and will come again');
      },
    });
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.#consumer?.stop();
  }

  /** @returns the events that must come again. */
  async #deliver(events: readonly FeedEvent[]): Promise<readonly FeedEvent[]> {
    try {
      await this.#fold(events);
      return [];
    } catch (error) {
      if (events.length === 1 || !isAboutData(error)) throw error;
      this.logger.error({ err: error }, 'an event could not be folded and will come again, by itself');
      // One event that the database refuses must not hold up the others; it comes again until it can be written.
      const outcomes = await Promise.allSettled(events.map((event) => this.#fold([event])));
      return events.filter((_event, index) => outcomes[index]?.status === 'rejected');
    }
  }

  async #fold(events: readonly FeedEvent[]): Promise<void> {
    const tenants = [...new Set(events.map(({ tenant }) => tenant))];
    const { fresh, facts } = await inTenants(this.database, tenants, async (client) => {
      await client.query(`set local transaction_timeout = ${TRANSACTION_LIMIT_MS}`);
      const recorded = await recordAudit(client, events);
      const found: Facts = factsOf(recorded);
      await foldFacts(client, found);
      return { fresh: recorded, facts: found };
    });
    this.#lag.folded(fresh, facts.unreadable);
    for (const { eventId, service, type, tenant } of facts.unreadable) {
      this.logger.error({ eventId, from: service, type, tenant }, 'an event does not match its contract');
    }
  }
}

/** SQLSTATE classes 22 (data exception) and 23 (integrity constraint violation). */
function isAboutData(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /^2[23]...$/.test(code);
}
