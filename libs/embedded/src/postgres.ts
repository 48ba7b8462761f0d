import { execFile } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { endProcess, startChild } from './child.js';
import type { Child, Exit } from './child.js';
import { freePort } from './ports.js';
import { postgresBinaries } from './postgres-binaries.js';
import { commandLine, identify, isRunning, processesIn } from './process-identity.js';
import type { ProcessIdentity } from './process-identity.js';
import { unprivileged } from './unprivileged.js';
import type { Unprivileged } from './unprivileged.js';

const run = promisify(execFile);

const initialiseLimitMs = 60_000;
const readyLimitMs = 30_000;
const stopLimitMs = 15_000;
const startAttemptsMax = 3;

export interface PostgresOptions {
  /** Created and initialised when it is missing or empty. */
  readonly dataDir: string;
  /** 0 or absent: any free port. */
  readonly port?: number;
  /** The superuser's password; must be the one the data directory was initialised with. */
  readonly password: string;
  /** Default: postgres.log beside the data directory. */
  readonly logFile?: string;
  /** More server settings, such as `{ fsync: 'off' }` in tests. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface Postgres {
  /** Of the superuser, to the database `postgres`. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly identity: ProcessIdentity | undefined;
  /** Fast shutdown, then SIGKILL after 15 s. */
  stop(): Promise<void>;
  /** Called once when the server ends, wanted or not. */
  onExit(listener: (exit: Exit) => void): void;
}

// For a laptop with two cores that runs everything else as well.
const laptopSettings: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  shared_buffers: '64MB',
  max_connections: '100',
  max_wal_size: '512MB',
  wal_compression: 'on',
  synchronous_commit: 'on',
  // A writer that hangs inside a transaction would hold back every reader of events.
  idle_in_transaction_session_timeout: '10s',
  jit: 'off',
  // Three idle I/O workers are not worth their memory here.
  io_method: 'sync',
  // Nothing subscribes to another server: no launcher that waits for it.
  max_logical_replication_workers: '0',
  timezone: 'UTC',
  log_timezone: 'UTC',
};

/**
 * Starts a PostgreSQL on 127.0.0.1 and resolves when it answers. A server that a killed process left behind on the same
 * data directory is ended first; one whose owner still lives is refused. Errors carry the end of the server's log.
 */
export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const binaries = postgresBinaries();
  const wrapper = unprivileged();
  mkdirSync(dirname(options.dataDir), { recursive: true });
  const logFile = options.logFile ?? join(dirname(options.dataDir), 'postgres.log');
  if (!existsSync(join(options.dataDir, 'PG_VERSION'))) {
    await initialise(binaries.initdb, wrapper, options.dataDir, options.password);
  }
  const dataDir = realpathSync(options.dataDir);
  await endAbandonedPostgres(dataDir);

  for (let attempt = 1; ; attempt += 1) {
    const port = options.port || (await freePort());
    const child = await startChild({
      prefix: wrapper.prefix,
      command: binaries.postgres,
      args: ['-D', dataDir, ...settingArguments({ ...laptopSettings, ...options.settings, port: String(port) })],
      env: { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' },
      logFile,
      signalOnParentDeath: 'SIGINT',
    });
    recordOwner(dataDir);
    const url = `postgres://postgres:${encodeURIComponent(options.password)}@127.0.0.1:${port}/postgres`;
    try {
      await untilReady(child, url);
    } catch (error) {
      await child.stop('SIGINT', stopLimitMs);
      const portWasTaken = child.lastWords().includes('Address already in use');
      if (portWasTaken && !options.port && attempt < startAttemptsMax) continue;
      throw error;
    }
    return {
      url,
      port,
      pid: child.pid,
      identity: child.identity,
      async stop() {
        await child.stop('SIGINT', stopLimitMs);
      },
      onExit(listener) {
        void child.exited.then(listener);
      },
    };
  }
}

async function initialise(initdb: string, wrapper: Unprivileged, dataDir: string, password: string): Promise<void> {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const passwordFile = `${dataDir}.password`;
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (wrapper.ownerId !== undefined) {
    for (const path of [dataDir, passwordFile]) chownSync(path, wrapper.ownerId, wrapper.ownerId);
  }
  const [command, ...args] = [
    ...wrapper.prefix,
    initdb,
    ...['-D', dataDir, '-U', 'postgres', '--encoding=UTF8', '--locale=C', '--auth=scram-sha-256'],
    ...[`--pwfile=${passwordFile}`],
    // The directory is lost as a whole if the machine stops now, so there is nothing to protect yet.
    '--no-sync',
  ];
  try {
    await run(command as string, args, {
      env: { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' },
      timeout: initialiseLimitMs,
    });
  } catch (error) {
    rmSync(dataDir, { recursive: true, force: true });
    throw new Error(`initdb failed: ${(error as { stderr?: string }).stderr ?? String(error)}`, { cause: error });
  } finally {
    rmSync(passwordFile, { force: true });
  }
}

function settingArguments(settings: Readonly<Record<string, string>>): string[] {
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

async function untilReady(child: Child, url: string): Promise<void> {
  const deadline = Date.now() + readyLimitMs;
  for (;;) {
    if (child.hasExited()) throw new Error(`PostgreSQL ended while starting:\n${child.lastWords()}`);
    const refusal = await tryConnect(url);
    if (refusal === undefined) return;
    if ((refusal as { code?: string }).code === '28P01') {
      throw new Error(
        'PostgreSQL runs, but refuses the recorded password: its data directory belongs to other keys. Start once with --fresh, or bring the keys back.',
      );
    }
    if (Date.now() > deadline) {
      throw new Error(`PostgreSQL did not answer within ${readyLimitMs / 1000} s:\n${child.lastWords()}`);
    }
    await sleep(25);
  }
}

async function tryConnect(url: string): Promise<unknown> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  // A connection cut while the server starts is reported twice; the second must not be unhandled.
  client.on('error', () => undefined);
  try {
    await client.connect();
    // A service's role may connect to its own database and to no other.
    await client.query('REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC');
    return undefined;
  } catch (error) {
    return error;
  } finally {
    await client.end().catch(() => undefined);
  }
}

const ownerFile = 'reef-owner.json';

function recordOwner(dataDir: string): void {
  writeFileSync(join(dataDir, ownerFile), JSON.stringify(identify(process.pid)), { mode: 0o600 });
}

function livingOwner(dataDir: string): ProcessIdentity | undefined {
  try {
    const owner = JSON.parse(readFileSync(join(dataDir, ownerFile), 'utf8')) as ProcessIdentity;
    return owner.pid !== process.pid && isRunning(owner) ? owner : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Ends the server that a killed process left on this data directory, and waits for its last back ends: two servers on one
 * directory would destroy it. Throws when its owner lives.
 */
export async function endAbandonedPostgres(directory: string): Promise<void> {
  const pidFile = join(directory, 'postmaster.pid');
  if (!existsSync(pidFile)) return;
  const dataDir = realpathSync(directory);
  const pid = Number(readFileSync(pidFile, 'utf8').split('\n')[0]);
  const postmaster = identify(pid);
  if (postmaster !== undefined && commandLine(pid).includes(dataDir)) {
    const owner = livingOwner(dataDir);
    if (owner !== undefined) {
      throw new Error(`PostgreSQL already runs on ${dataDir} (process ${pid}, started by process ${owner.pid})`);
    }
    if (!(await endProcess(postmaster, { signal: 'SIGINT', limitMs: stopLimitMs }))) {
      throw new Error(`PostgreSQL process ${pid} on ${dataDir} cannot be ended`);
    }
  }
  const deadline = Date.now() + stopLimitMs;
  while (processesIn(dataDir).length > 0) {
    if (Date.now() > deadline) throw new Error(`processes ${processesIn(dataDir).join(', ')} still use ${dataDir}`);
    await sleep(25);
  }
  // PostgreSQL itself sees that a dead pid is stale, but not that a living one is now somebody else's.
  if (identify(pid) !== undefined && processesIn(dataDir).length === 0) rmSync(pidFile, { force: true });
}
