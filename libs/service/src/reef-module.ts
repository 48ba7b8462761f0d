import { MikroORM, PostgreSqlDriver } from '@mikro-orm/postgresql';
import type { EntitySchema } from '@mikro-orm/core';
import { type DynamicModule, Global, Inject, Injectable, Module, type OnApplicationShutdown } from '@nestjs/common';
import {
  type AnyAggregate,
  EventStore,
  type NamedMigration,
  Relay,
  type ReplayReport,
  TenantKeys,
  Views,
} from '@reef/eventing';
import { connectNats, ContextVerifier, Requests } from '@reef/messaging';
import type { NatsConnection } from '@nats-io/transport-node';
import { metrics } from '@opentelemetry/api';
import pg from 'pg';
import type { Logger } from 'pino';
import { closeNats } from './close-nats.js';
import { environment, type ServiceEnvironment, serviceEnvironment } from './environment.js';
import { createLogger } from './logger.js';
import { Periodic } from './periodic.js';
import { ormPool, pool } from './pools.js';
import { DATABASE, FEED_DATABASE, LOGGER, NATS } from './tokens.js';

/** What a service is made of; its module lists what it does with it. */
export interface ServiceDefinition {
  readonly name: string;
  readonly aggregates: readonly AnyAggregate[];
  /** MikroORM entities of the read models. */
  readonly entities: readonly EntitySchema[];
  readonly migrations: readonly NamedMigration[];
  /** Replay of read models that do not follow from the service's own streams. */
  readonly replay?: (owner: pg.Pool, options: { check: boolean }) => Promise<ReplayReport>;
}

const SETTINGS = Symbol('SETTINGS');
const WRITER = Symbol('WRITER');
const COMMANDS_KEPT_HOURS = 24;
const PRUNE_EVERY_MS = 60_000;
const PRUNE_ROWS_MAX = 20_000;

/** Ends a service in order: what was accepted is committed and published before connections close. */
@Injectable()
class Shutdown implements OnApplicationShutdown {
  constructor(
    private readonly store: EventStore,
    private readonly relay: Relay,
    private readonly orm: MikroORM,
    @Inject(NATS) private readonly nats: NatsConnection,
    @Inject(DATABASE) private readonly database: pg.Pool,
    @Inject(FEED_DATABASE) private readonly feed: pg.Pool,
    @Inject(WRITER) private readonly writer: pg.Pool,
  ) {}

  async onApplicationShutdown(): Promise<void> {
    await this.store.stop();
    await this.relay.stop();
    await this.orm.close();
    await Promise.all([this.database.end(), this.feed.end(), this.writer.end()]);
    await closeNats(this.nats);
  }
}

/** Idempotency keys are kept for a day; a retry after that is a new command. */
@Injectable()
class CommandPruning {
  constructor(periodic: Periodic, @Inject(FEED_DATABASE) feed: pg.Pool) {
    periodic.every(PRUNE_EVERY_MS, 'forget old command ids', async () => {
      await feed.query(
        `delete from es.command where (tenant_id, command_id) in (
           select tenant_id, command_id from es.command where handled_at < now() - make_interval(hours => $1) limit $2)`,
        [COMMANDS_KEPT_HOURS, PRUNE_ROWS_MAX],
      );
    });
  }
}

/** Everything a stateful service is given: its event store, read models, messages and periodic work. */
@Global()
@Module({})
export class ReefModule {
  static for(definition: ServiceDefinition): DynamicModule {
    const { name } = definition;
    return {
      module: ReefModule,
      providers: [
        { provide: SETTINGS, useFactory: () => environment(serviceEnvironment) },
        { provide: LOGGER, useFactory: () => createLogger(name) },
        {
          provide: NATS,
          inject: [SETTINGS],
          useFactory: (settings: ServiceEnvironment) => connectNats(settings.NATS_URL, name),
        },
        {
          provide: ContextVerifier,
          inject: [SETTINGS],
          useFactory: (settings: ServiceEnvironment) => ContextVerifier.fromFile(settings.CONTEXT_JWKS_FILE),
        },
        { provide: Requests, inject: [NATS], useFactory: (nats: NatsConnection) => new Requests(nats) },
        {
          provide: DATABASE,
          inject: [SETTINGS, LOGGER],
          useFactory: (settings: ServiceEnvironment, logger: Logger) => pool(settings.DATABASE_URL, 4, logger, name),
        },
        {
          provide: WRITER,
          inject: [SETTINGS, LOGGER],
          useFactory: (settings: ServiceEnvironment, logger: Logger) =>
            pool(settings.DATABASE_URL, 1, logger, `${name} writer`),
        },
        {
          provide: FEED_DATABASE,
          inject: [SETTINGS, LOGGER],
          useFactory: (settings: ServiceEnvironment, logger: Logger) =>
            pool(settings.DATABASE_FEED_URL, 2, logger, `${name} feed`),
        },
        {
          provide: MikroORM,
          inject: [SETTINGS],
          useFactory: (settings: ServiceEnvironment) =>
            MikroORM.init({
              driver: PostgreSqlDriver,
              clientUrl: settings.DATABASE_URL,
              entities: [...definition.entities],
              discovery: { warnWhenNoEntities: false },
              ...ormPool,
              timezone: 'UTC',
              logger: () => undefined,
            }),
        },
        {
          provide: TenantKeys,
          inject: [DATABASE, SETTINGS],
          useFactory: (database: pg.Pool, settings: ServiceEnvironment) =>
            new TenantKeys(database, TenantKeys.masterKeyFrom(settings.MASTER_KEY_FILE)),
        },
        {
          provide: Relay,
          inject: [FEED_DATABASE, NATS, LOGGER],
          useFactory: (feed: pg.Pool, nats: NatsConnection, logger: Logger) => {
            const relay = new Relay({
              service: name,
              feed,
              nats,
              onBug: (error) => logger.error({ err: error }, 'the relay failed and starts again'),
            });
            metrics
              .getMeter('reef')
              .createObservableGauge('reef_relay_lag_ms', {
                description: 'Age of the newest published event when it was published',
              })
              .addCallback((result) => result.observe(relay.lagMs));
            if (definition.aggregates.length > 0) relay.start();
            return relay;
          },
        },
        {
          provide: EventStore,
          inject: [DATABASE, WRITER, TenantKeys, Relay, LOGGER],
          useFactory: (database: pg.Pool, writer: pg.Pool, keys: TenantKeys, relay: Relay, logger: Logger) =>
            new EventStore({
              service: name,
              pool: database,
              writer,
              keys,
              onCommit: () => relay.nudge(),
              onBug: (error) => logger.error({ err: error }, 'the event store met a bug'),
            }),
        },
        {
          provide: Views,
          inject: [MikroORM, TenantKeys],
          useFactory: (orm: MikroORM, keys: TenantKeys) => new Views(orm, keys),
        },
        Periodic,
        CommandPruning,
        Shutdown,
      ],
      exports: [
        LOGGER,
        NATS,
        DATABASE,
        FEED_DATABASE,
        ContextVerifier,
        Requests,
        EventStore,
        Views,
        TenantKeys,
        Relay,
        Periodic,
      ],
    };
  }
}
