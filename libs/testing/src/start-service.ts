import type { INestMicroservice, Type } from '@nestjs/common';
import { jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { ContextClaims, Event, InputOf, Principal, Request, ResultOf } from '@reef/contracts';
import { migrate, replay, type ReplayReport, TenantKeys } from '@reef/eventing';
import { dropDatabase, provisionDatabase } from '@reef/eventing/provision';
import { connectNats, ContextSigner, ensureFeed, type FeedEvent, newId, Requests } from '@reef/messaging';
import { type RunningService, type ServiceDefinition, startService as start } from '@reef/service';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { holdNats, required } from './nats-of-file.js';

const EVENT_TIMEOUT_MS = 10_000;

export interface Speaker {
  commandId?: string;
  timeoutMs?: number;
  role?: ContextClaims['role'];
  principal?: Principal;
}

export interface TestService extends AsyncDisposable {
  readonly app: INestMicroservice;
  readonly nats: NatsConnection;
  readonly requests: Requests;
  readonly signer: ContextSigner;
  /** Sees every row: for looking at what is really stored. */
  readonly owner: pg.Pool;
  readonly opsPort: number;
  /** A tenant nobody else has. */
  tenant(): string;
  /** Sends a command or query as the edge would, by default as an owner of the tenant. */
  send<Message extends Request>(
    message: Message,
    tenant: string,
    input: InputOf<Message>,
    speaker?: Speaker,
  ): Promise<ResultOf<Message>>;
  /** Every event of a tenant in this service's log, as stored. */
  eventsOf(tenant: string): Promise<{ stream: string; type: string; data: Record<string, unknown> }[]>;
  /** The next or an earlier event of this kind on the feed. */
  nextEvent(event: Event, tenant: string, match?: (event: FeedEvent) => boolean): Promise<FeedEvent>;
  /** Puts another service's event on the feed. */
  publish(event: Event, tenant: string, data: Record<string, unknown>, more?: Partial<FeedEvent>): Promise<FeedEvent>;
  replayCheck(): Promise<readonly string[]>;
  replay(options: { check: boolean }): Promise<ReplayReport>;
  /** Stops the service and starts it again on the same database. */
  restart(): Promise<void>;
}

/** Starts a service in this process on a database of its own and this file's NATS server. */
export async function startService(
  definition: ServiceDefinition,
  module: Type,
  options: { env?: Record<string, string> } = {},
): Promise<TestService> {
  const directory = mkdtempSync(join(tmpdir(), `reef-${definition.name}-`));
  const database = `test_${definition.name}_${randomBytes(6).toString('hex')}`;
  const adminUrl = required('REEF_TEST_POSTGRES_URL');
  const urls = await provisionDatabase(adminUrl, { database, rolePassword: 'test' });
  await migrate(urls.ownerUrl, definition.migrations);

  // Contexts are signed by the edge, whose part `send` plays, and by dispatch for turns that outlive their request.
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const dispatch = generateKeyPairSync('ed25519');
  const masterKeyFile = join(directory, 'master.key');
  writeFileSync(masterKeyFile, randomBytes(32).toString('base64'));
  const jwksFile = join(directory, 'context.jwks');
  const keys = [
    { ...publicKey.export({ format: 'jwk' }), kid: 'edge-test' },
    { ...dispatch.publicKey.export({ format: 'jwk' }), kid: 'dispatch-test' },
  ];
  writeFileSync(jwksFile, JSON.stringify({ keys }));
  const signingKeyFile = join(directory, 'dispatch.jwk');
  writeFileSync(
    signingKeyFile,
    JSON.stringify({ ...dispatch.privateKey.export({ format: 'jwk' }), kid: 'dispatch-test' }),
  );
  const { url: natsUrl, release: releaseNats } = await holdNats();
  Object.assign(process.env, {
    DATABASE_URL: urls.appUrl,
    DATABASE_FEED_URL: urls.feedUrl,
    NATS_URL: natsUrl,
    OPS_PORT: '0',
    CONTEXT_JWKS_FILE: jwksFile,
    CONTEXT_SIGNING_KEY_FILE: signingKeyFile,
    MASTER_KEY_FILE: masterKeyFile,
    LOG_LEVEL: process.env['LOG_LEVEL'] ?? 'error',
    ...options.env,
  });
  let running: RunningService = await start(definition, module);
  const nats = await connectNats(natsUrl, 'test');
  const requests = new Requests(nats);
  const signer = new ContextSigner('edge', privateKey, 'edge-test');
  const owner = new pg.Pool({ connectionString: urls.ownerUrl, max: 2 });
  owner.on('error', () => undefined); // Dropping the database ends its idle connections.

  const replayWith = async ({ check }: { check: boolean }): Promise<ReplayReport> => {
    const keys = new TenantKeys(owner, TenantKeys.masterKeyFrom(masterKeyFile));
    const own = await replay({ aggregates: definition.aggregates, owner, keys, check });
    const other = await definition.replay?.(owner, { check });
    return {
      events: own.events + (other?.events ?? 0),
      rows: own.rows + (other?.rows ?? 0),
      differences: [...own.differences, ...(other?.differences ?? [])],
    };
  };

  return {
    get app() {
      return running.app;
    },
    get opsPort() {
      return running.opsPort;
    },
    nats,
    requests,
    signer,
    owner,
    tenant: () => `t-${randomBytes(6).toString('hex')}`,
    async send(message, tenant, input, speaker = {}) {
      const token = signer.sign({
        tenant,
        principal: speaker.principal ?? { kind: 'user', id: 'test' },
        role: speaker.role ?? 'owner',
      });
      return requests.send(message, { tenant, token }, input, {
        ...(speaker.commandId && { commandId: speaker.commandId }),
        ...(speaker.timeoutMs && { timeoutMs: speaker.timeoutMs }),
      });
    },
    async eventsOf(tenant) {
      const { rows } = await owner.query<{ stream: string; type: string; data: Record<string, unknown> }>(
        'select stream_id as stream, type, data from es.event where tenant_id = $1 order by xid, position',
        [tenant],
      );
      return rows;
    },
    async nextEvent(event, tenant, match = () => true) {
      await ensureFeed(nats);
      const consumer = await jetstream(nats).consumers.get('EVENTS', { filter_subjects: event.subject(tenant) });
      const messages = await consumer.consume();
      const timeout = setTimeout(() => void messages.close(), EVENT_TIMEOUT_MS);
      try {
        for await (const message of messages) {
          const found = message.json<FeedEvent>();
          if (match(found)) return found;
        }
        throw new Error(`no ${event.name} within ${EVENT_TIMEOUT_MS} ms`);
      } finally {
        clearTimeout(timeout);
        await messages.close();
      }
    },
    async publish(event, tenant, data, more = {}) {
      const published: FeedEvent = {
        eventId: newId(),
        tenant,
        service: event.service,
        stream: 'test/1',
        version: 1,
        type: event.name,
        schemaVersion: event.schemaVersion,
        data,
        actor: 'service:test',
        commandId: newId(),
        correlationId: newId(),
        causationId: null,
        traceparent: null,
        occurredAt: new Date().toISOString(),
        ...more,
      };
      await ensureFeed(nats);
      await jetstream(nats).publish(event.subject(tenant), JSON.stringify(published));
      return published;
    },
    replayCheck: async () => (await replayWith({ check: true })).differences,
    replay: replayWith,
    async restart() {
      await running.close();
      running = await start(definition, module);
    },
    async [Symbol.asyncDispose]() {
      await running.close();
      await nats.close();
      await owner.end();
      await dropDatabase(adminUrl, database);
      await releaseNats();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Waits until something is so; fails after ten seconds with the last error or value. */
export async function eventually<T>(look: () => Promise<T>, isSo: (value: T) => boolean = Boolean): Promise<T> {
  const giveUpMs = Date.now() + EVENT_TIMEOUT_MS;
  for (;;) {
    const value = await look();
    if (isSo(value)) return value;
    if (Date.now() > giveUpMs) throw new Error(`still not so after ${EVENT_TIMEOUT_MS} ms: ${JSON.stringify(value)}`);
    await sleep(20);
  }
}
