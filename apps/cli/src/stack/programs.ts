import { findNatsServer, freePort, startChild, startNats, startPostgres } from '@reef/embedded';
import type { Exit, Nats, Postgres } from '@reef/embedded';
import { existsSync } from 'node:fs';
import { Explained } from '../explained.js';
import type { Passwords } from './keys.js';
import { readable } from './last-words.js';
import type { Layout } from './layout.js';
import { isReady, untilTrue } from './probe.js';
import { mainFile, nodeFlags, statefulServices } from './services.js';
import type { ServiceName } from './services.js';
import type { Program, Running } from './supervised.js';

const readyLimitMs = 60_000;
// A service gives what it still does up to twenty seconds; a person who wants less presses Ctrl-C again.
const stopLimitMs = 22_000;

/**
 * A process of ours. It gets a new free port at each start, unless it has one of its own.
 * @param given.name of the instance, where a service has several; it names the log, too.
 */
export function serviceProgram(
  service: ServiceName,
  layout: Layout,
  given: { name?: string; port?: number; readyPath: string; environment: (port: number) => NodeJS.ProcessEnv },
): Program {
  const { name = service } = given;
  return {
    name,
    readyPath: given.readyPath,
    async start(spawned) {
      const main = mainFile(service);
      if (!existsSync(main)) throw new Explained(`${main} is missing: ${service} has not been built`);
      const port = given.port ?? (await freePort());
      const logFile = layout.logFile(name);
      const child = await startChild({
        command: process.execPath,
        args: [...nodeFlags, main, 'serve'],
        env: given.environment(port),
        cwd: layout.home,
        logFile,
        signalOnParentDeath: 'SIGTERM',
      });
      const running: Running = {
        process: child.identity,
        port,
        exited: child.exited,
        async stop() {
          await child.stop('SIGTERM', stopLimitMs);
        },
      };
      spawned(running);
      const ready = await untilTrue(() => isReady(port, given.readyPath), {
        limitMs: readyLimitMs,
        givenUp: () => child.hasExited(),
      });
      if (ready) return running;
      const ended = child.hasExited();
      await running.stop();
      throw new Explained(
        `${name} ${ended ? `ended while starting (${describe(await child.exited)})` : `was not ready within ${readyLimitMs / 1000} s`}: ` +
          `${readable(child.lastWords())}\n(All of it is in ${logFile}.)`,
      );
    },
  };
}

/** What a service's pools open at most. */
const connectionsPerService = 11;
/** For migrations, a person's own look, and what a server keeps for its superuser. */
const connectionsBeside = 34;

/** Learns its port at the first start and keeps it, since the services hold on to it. */
export function postgresProgram(
  layout: Layout,
  passwords: Passwords,
  serviceCount: number = statefulServices.length,
): Program & { adminUrl(): string } {
  let last: Postgres | undefined;
  return {
    name: 'postgres',
    adminUrl: () => urlOf(last, 'PostgreSQL'),
    async start() {
      last = await startPostgres({
        dataDir: layout.path('postgres'),
        port: last?.port ?? 0,
        password: passwords.postgres,
        logFile: layout.logFile('postgres'),
        settings: { max_connections: String(connectionsBeside + connectionsPerService * serviceCount) },
      });
      return runningServer(last);
    },
  };
}

export function natsProgram(
  layout: Layout,
  passwords: Passwords,
  env: NodeJS.ProcessEnv,
  progress: (step: string) => void,
): Program & { url(): string } {
  let last: Nats | undefined;
  return {
    name: 'nats',
    url: () => urlOf(last, 'NATS'),
    async start() {
      const found = await findNatsServer({ cacheDir: layout.cacheDir, env, progress });
      last = await startNats({
        binary: found.path,
        storeDir: layout.path('nats', 'jetstream'),
        port: last?.port ?? 0,
        user: 'reef',
        password: passwords.nats,
        logFile: layout.logFile('nats'),
      });
      return runningServer(last);
    },
  };
}

function runningServer(server: Postgres | Nats): Running {
  return {
    process: server.identity,
    port: server.port,
    exited: new Promise((resolve) => server.onExit(resolve)),
    stop: () => server.stop(),
  };
}

function urlOf(server: Postgres | Nats | undefined, name: string): string {
  if (server === undefined) throw new Error(`${name} has not been started`);
  return server.url;
}

function describe(exit: Exit): string {
  return exit.signal ?? `code ${exit.code}`;
}
