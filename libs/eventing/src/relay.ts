import type { JetStreamManager } from '@nats-io/jetstream';
import { headers, type NatsConnection } from '@nats-io/transport-node';
import { crashAt, ensureFeed, EVENTS_STREAM, Replies } from '@reef/messaging';
import type { Pool, PoolClient } from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';

const BATCH_MAX = 500;
/** How long a relay that hears of no commit waits before it looks, ms: the commits of other instances are not announced. */
const POLL_MS = 50;
/** The same once nothing was found; what an idle service costs. */
const IDLE_POLL_MS = 250;
const COALESCE_MS = 8;
/** How often the position is written down: a crash publishes again what came since, and consumers drop it. */
const SAVE_EVERY_MS = 250;
/** JetStream stores within milliseconds, or is away. */
const STORE_TIMEOUT_MS = 5_000;
const CONFIRM_EVERY_MS = 2_000;
const RETRY_AFTER_FAULT_MS = 250;
const NOT_LEADER_WAIT_MS = 1_000;
/** A position counts as confirmed only when these followers are past it, whoever else there is. */
const REQUIRED_FOLLOWERS = ['telemetry'];
/** Any number; PostgreSQL's advisory locks are named by numbers, and per database. */
const LEADER_LOCK = 7_235_001;

interface Position {
  epoch: number;
  xid: string;
  position: string;
}

interface FeedRow extends Position {
  event_id: string;
  tenant_id: string;
  stream_id: string;
  version: number;
  type: string;
  schema_version: number;
  data: string;
  actor: string;
  command_id: string;
  correlation_id: string;
  causation_id: string | null;
  traceparent: string | null;
  occurred_at: Date;
}

export interface RelayOptions {
  readonly service: string;
  /** The role that reads every tenant's events. */
  readonly feed: Pool;
  readonly nats: NatsConnection;
  readonly onBug: (error: unknown) => void;
}

/**
 * Publishes committed events to the feed, in commit order and at least once. One instance of a service does so at a time.
 *
 * A reader that remembers "the last position" would skip events whose transaction took a number early and committed late; so
 * rows are read below the oldest transaction still running, ordered by (epoch, xid, position).
 */
export class Relay {
  #stopping = false;
  #wake: (() => void) | null = null;
  #nudged = false;
  #running: Promise<void> | null = null;
  /** Events committed and not yet published when last looked; a gauge. */
  #publishedLagMs = 0;

  constructor(private readonly options: RelayOptions) {}

  start(): void {
    this.#running = this.#run();
  }

  /** Says that something was committed. */
  nudge(): void {
    this.#nudged = true;
    this.#wake?.();
  }

  /** Age of the newest published event when it was published, ms. */
  get lagMs(): number {
    return this.#publishedLagMs;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#wake?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      let client: PoolClient | null = null;
      try {
        client = await this.options.feed.connect();
        const broken = new Promise<never>((_resolve, reject) => client?.once('error', reject));
        broken.catch(() => undefined);
        // The checkpoint may lag behind a crash: consumers drop what they have seen.
        await client.query('set synchronous_commit = off');
        // A plan made while the log was short would read all of it, again and again, until the next analyze.
        await client.query('set enable_seqscan = off; set enable_bitmapscan = off; set enable_sort = off');
        await this.#lead(client);
      } catch (error) {
        if (!this.#stopping && !isPassing(error)) this.options.onBug(error);
        client?.release(true);
        client = null;
        await this.#pause(RETRY_AFTER_FAULT_MS);
      } finally {
        client?.release(true); // The leader's lock goes with the connection.
      }
    }
  }

  async #lead(client: PoolClient): Promise<void> {
    for (;;) {
      const { rows } = await client.query<{ leads: boolean }>('select pg_try_advisory_lock($1) as leads', [
        LEADER_LOCK,
      ]);
      if (rows[0]?.leads) break;
      await this.#pause(NOT_LEADER_WAIT_MS);
      if (this.#stopping) return;
    }
    await this.#openEpoch(client);
    const { manager, createdAt } = await ensureFeed(this.options.nats);
    let position = await this.#startAt(client, createdAt);
    const replies = new Replies(this.options.nats);
    const confirmer = new Confirmer(manager);
    let saved = position;
    let savedAtMs = Date.now();
    const save = async () => {
      await client.query('update es.relay set epoch = $1, xid = $2::xid8, position = $3', [
        position.epoch,
        position.xid,
        position.position,
      ]);
      [saved, savedAtMs] = [position, Date.now()];
    };
    while (!this.#stopping) {
      this.#nudged = false;
      const rows = await this.#next(client, position);
      const last = rows.at(-1);
      if (last) {
        const seq = await this.#publish(replies, rows);
        position = { epoch: last.epoch, xid: last.xid, position: last.position };
        this.#publishedLagMs = Date.now() - last.occurred_at.getTime();
        confirmer.published(seq, position);
      }
      if (saved !== position && Date.now() - savedAtMs >= SAVE_EVERY_MS) await save();
      const confirmed = await confirmer.confirmed();
      if (confirmed) {
        await client.query(
          'update es.relay set confirmed_epoch = $1, confirmed_xid = $2::xid8, confirmed_position = $3',
          [confirmed.epoch, confirmed.xid, confirmed.position],
        );
      }
      if (rows.length === BATCH_MAX) continue;
      // Commits come faster than a look costs; those of a few milliseconds are published together.
      await sleep(COALESCE_MS);
      if (!this.#nudged) await this.#pause(rows.length > 0 || saved !== position ? POLL_MS : IDLE_POLL_MS);
    }
    if (saved !== position) await save();
  }

  /** A dump and restore starts transaction ids anew: then a new epoch begins, and order holds. */
  async #openEpoch(client: PoolClient): Promise<void> {
    await client.query(`update es.epoch set epoch = epoch + 1 where exists (
      select from es.event e where e.epoch = es.epoch.epoch and e.xid >= pg_snapshot_xmax(pg_current_snapshot()))`);
  }

  /** Where publishing goes on; a feed that was lost is filled again from what every follower has confirmed. */
  async #startAt(client: PoolClient, createdAt: string): Promise<Position> {
    const { rows } = await client.query<
      Position & { feed_created_at: string; confirmed_epoch: number; confirmed_xid: string; confirmed_position: string }
    >('select * from es.relay');
    const [saved] = rows;
    if (!saved) throw new Error('es.relay has lost its row');
    if (saved.feed_created_at === createdAt) return { epoch: saved.epoch, xid: saved.xid, position: saved.position };
    const from = { epoch: saved.confirmed_epoch, xid: saved.confirmed_xid, position: saved.confirmed_position };
    await client.query('update es.relay set feed_created_at = $1, epoch = $2, xid = $3::xid8, position = $4', [
      createdAt,
      from.epoch,
      from.xid,
      from.position,
    ]);
    return from;
  }

  async #next(client: PoolClient, after: Position): Promise<FeedRow[]> {
    const { rows } = await client.query<FeedRow>({
      name: 'feed',
      text: `select epoch, xid::text, position::text, event_id, tenant_id, stream_id, version, type, schema_version, data::text, actor,
               command_id, correlation_id, causation_id, traceparent, occurred_at
             from es.event
             where (epoch, xid, position) > ($1, $2::xid8, $3)
               and (epoch < (select epoch from es.epoch) or xid < pg_snapshot_xmin(pg_current_snapshot()))
             order by epoch, xid, position limit ${BATCH_MAX}`,
      values: [after.epoch, after.xid, after.position],
    });
    return rows;
  }

  /** @returns the feed's sequence number of the last of them. */
  async #publish(replies: Replies, rows: readonly FeedRow[]): Promise<number> {
    const { service } = this.options;
    crashAt(service, 'before-publish');
    const stored = await Promise.all(rows.map((row) => store(replies, service, row)));
    crashAt(service, 'after-publish');
    return Math.max(...stored);
  }

  async #pause(ms: number): Promise<void> {
    if (this.#stopping) return;
    const woken = new Promise<void>((resolve) => (this.#wake = resolve));
    const abort = new AbortController();
    await Promise.race([woken, sleep(ms, undefined, { ref: false, signal: abort.signal }).catch(() => undefined)]);
    abort.abort();
    this.#wake = null;
  }
}

/** Puts an event on the feed, once under its id. Resolves with its sequence number there. */
async function store(replies: Replies, service: string, row: FeedRow): Promise<number> {
  const header = headers();
  header.set('Nats-Msg-Id', row.event_id);
  const subject = `tenant.${row.tenant_id}.${service}.evt.${row.type}`;
  const reply = await replies.request(subject, toFeedJson(service, row), {
    headers: header,
    timeoutMs: STORE_TIMEOUT_MS,
  });
  if (typeof reply === 'string')
    throw new Error(reply === 'nobody' ? 'jetstream: no responders' : 'jetstream: timeout');
  const { seq, error } = reply.json<{ seq?: number; error?: { description: string } }>();
  if (seq === undefined) throw new Error(`jetstream: ${error?.description ?? 'the event was not stored'}`);
  return seq;
}

/** The stored data is spliced in as text: at thousands of events a second, parsing it to print it again would be the cost. */
function toFeedJson(service: string, row: FeedRow): string {
  const head = JSON.stringify({
    eventId: row.event_id,
    tenant: row.tenant_id,
    service,
    stream: row.stream_id,
    version: row.version,
    type: row.type,
    schemaVersion: row.schema_version,
    actor: row.actor,
    commandId: row.command_id,
    correlationId: row.correlation_id,
    causationId: row.causation_id,
    traceparent: row.traceparent,
    occurredAt: row.occurred_at.toISOString(),
  });
  return `${head.slice(0, -1)},"data":${row.data}}`;
}

/** Knows which position every follower has acknowledged, and so committed. */
class Confirmer {
  readonly #published: { seq: number; position: Position }[] = [];
  #lookedAtMs = 0;

  constructor(private readonly manager: JetStreamManager) {}

  published(seq: number, position: Position): void {
    this.#published.push({ seq, position });
    if (this.#published.length > 10_000) this.#published.splice(0, 5_000); // Coarser is still correct.
  }

  /** A newly confirmed position, looked up every two seconds while something is unconfirmed. */
  async confirmed(): Promise<Position | null> {
    if (this.#published.length === 0 || Date.now() - this.#lookedAtMs < CONFIRM_EVERY_MS) return null;
    this.#lookedAtMs = Date.now();
    let floor = Infinity;
    const names = new Set<string>();
    for await (const consumer of this.manager.consumers.list(EVENTS_STREAM)) {
      names.add(consumer.name);
      // A follower of some subjects confirms the rest by having nothing of it to do.
      const idle = consumer.num_pending === 0 && consumer.num_ack_pending === 0;
      if (!idle) floor = Math.min(floor, consumer.ack_floor.stream_seq);
    }
    if (!REQUIRED_FOLLOWERS.every((name) => names.has(name))) return null;
    let newest: Position | null = null;
    while (this.#published[0] && this.#published[0].seq <= floor) newest = this.#published.shift()?.position ?? null;
    return newest;
  }
}

/** Faults that end by themselves when a server is back. */
function isPassing(error: unknown): boolean {
  const text =
    error instanceof Error ? `${error.name} ${error.message} ${(error as { code?: string }).code ?? ''}` : '';
  return /terminat|connection|ECONN|timeout|no responders|503|57P0|draining|closed|not found|jetstream/i.test(text);
}
