import 'reflect-metadata';
import type { INestMicroservice, Type } from '@nestjs/common';
import type { AsyncMicroserviceOptions } from '@nestjs/microservices';
import { NestFactory } from '@nestjs/core';
import { isConnectionFault, migrate, replay, TenantKeys } from '@reef/eventing';
import { ContextVerifier, NatsServer } from '@reef/messaging';
import type { NatsConnection } from '@nats-io/transport-node';
import pg from 'pg';
import type { Logger } from 'pino';
import { z } from 'zod';
import { environment, serviceEnvironment } from './environment.js';
import { createLogger, nestLogger } from './logger.js';
import { startOpsServer } from './ops-server.js';
import type { ServiceDefinition } from './reef-module.js';
import { startTelemetry } from './telemetry.js';
import { DATABASE, LOGGER, NATS } from './tokens.js';

const STOP_TIMEOUT_MS = 20_000;
/** Migrations and replays run under the role that owns the tables. */
const ownerEnvironment = z.object({ DATABASE_OWNER_URL: z.string().min(1) });

/**
 * A service's whole `main.ts`: `serve` (the default), `migrate`, or `replay [--check]`.
 * Ends the process with 1 on a failed start, and on a replay that found a difference.
 */
export async function runService(definition: ServiceDefinition, module: Type): Promise<void> {
  const [command = 'serve', ...options] = process.argv.slice(2);
  try {
    if (command === 'serve') await serve(definition, module);
    else if (command === 'migrate') await runMigrations(definition);
    else if (command === 'replay') process.exitCode = await runReplay(definition, options.includes('--check'));
    else throw new Error(`${definition.name} knows serve, migrate and replay, not ${command}`);
  } catch (error) {
    createLogger(definition.name).fatal({ err: error }, `${definition.name} could not ${command}`);
    process.exit(1);
  }
}

export interface RunningService {
  readonly app: INestMicroservice;
  readonly opsPort: number;
  close(): Promise<void>;
}

/** Starts a service in this process; `serve` does so for good, tests for a while. */
export async function startService(definition: ServiceDefinition, module: Type): Promise<RunningService> {
  const settings = environment(serviceEnvironment);
  const telemetry = await startTelemetry(definition.name);
  const app = await NestFactory.createMicroservice<AsyncMicroserviceOptions>(module, {
    inject: [NATS, ContextVerifier, LOGGER],
    useFactory: (nats: NatsConnection, verifier: ContextVerifier, logger: Logger) => ({
      strategy: new NatsServer({
        nats,
        service: definition.name,
        verifier,
        isPassing: (error) => {
          const passing = isConnectionFault(error);
          if (passing) logger.warn({ err: error }, 'the database was away for a request');
          return passing;
        },
        onBug: (error, where) => logger.error({ err: error, ...where }, 'a handler failed'),
      }),
    }),
    logger: nestLogger(createLogger(definition.name)),
    abortOnError: false,
  });
  // Nest's own filter would log an error and pass on an object that says nothing of it.
  app.useGlobalFilters({
    catch(error: unknown): never {
      throw error;
    },
  });
  await app.listen();
  const database = app.get<pg.Pool>(DATABASE);
  const nats = app.get<NatsConnection>(NATS);
  const ops = await startOpsServer({
    port: settings.OPS_PORT,
    host: settings.OPS_HOST,
    metrics: () => telemetry.scrape(),
    ready: {
      postgresql: async () => (await database.query('select 1')).rowCount === 1,
      nats: async () => (await nats.rtt()) >= 0,
    },
  });
  return {
    app,
    opsPort: ops.port,
    async close() {
      await app.close();
      await ops.close();
      await telemetry.shutdown();
    },
  };
}

async function serve(definition: ServiceDefinition, module: Type): Promise<void> {
  const logger = createLogger(definition.name);
  const service = await startService(definition, module);
  logger.info({ opsPort: service.opsPort }, `${definition.name} is serving`);
  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    setTimeout(() => process.exit(1), STOP_TIMEOUT_MS).unref();
    service.close().then(
      () => process.exit(0),
      (error: unknown) => {
        logger.error({ err: error }, 'the service did not stop cleanly');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop).on('SIGINT', stop);
  process.on('unhandledRejection', (error) => logger.error({ err: error }, 'a promise was rejected and nobody looked'));
}

async function runMigrations(definition: ServiceDefinition): Promise<void> {
  const { DATABASE_OWNER_URL } = environment(ownerEnvironment);
  const ran = await migrate(DATABASE_OWNER_URL, definition.migrations);
  process.stdout.write(`${JSON.stringify({ service: definition.name, ran })}\n`);
}

async function runReplay(definition: ServiceDefinition, check: boolean): Promise<number> {
  const { DATABASE_OWNER_URL, MASTER_KEY_FILE } = environment(
    ownerEnvironment.extend({ MASTER_KEY_FILE: z.string().min(1) }),
  );
  const owner = new pg.Pool({ connectionString: DATABASE_OWNER_URL, max: 2 });
  try {
    const startedMs = performance.now();
    const keys = new TenantKeys(owner, TenantKeys.masterKeyFrom(MASTER_KEY_FILE));
    const own = await replay({ aggregates: definition.aggregates, owner, keys, check });
    const other = await definition.replay?.(owner, { check });
    const report = {
      service: definition.name,
      check,
      events: own.events + (other?.events ?? 0),
      rows: own.rows + (other?.rows ?? 0),
      durationMs: Math.round(performance.now() - startedMs),
      differences: [...own.differences, ...(other?.differences ?? [])],
    };
    process.stdout.write(`${JSON.stringify(report)}\n`);
    return report.differences.length > 0 ? 1 : 0;
  } finally {
    await owner.end();
  }
}
