import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { startChild } from '@reef/embedded';
import { databaseUrls, dropDatabase, provisionDatabase } from '@reef/eventing/provision';
import type { ProvisionedDatabase } from '@reef/eventing/provision';
import { Client } from 'pg';
import { Explained } from '../explained.js';
import type { Passwords } from './keys.js';
import { readable } from './last-words.js';
import { repositoryRoot } from './layout.js';
import type { Layout } from './layout.js';
import { mainFile, nodeFlags, ownerEnvironment, statefulServices } from './services.js';
import type { StatefulService, Wiring } from './services.js';

const migrationsAtOnceMax = 2;
const migrationLimitMs = 180_000;
const connectLimitMs = 10_000;

/** The databases' common prefix: the name in REEF_DATABASE_URL, else `reef`. */
export function databasePrefix(env: NodeJS.ProcessEnv): string {
  const url = env['REEF_DATABASE_URL'];
  const name = url === undefined || url === '' ? '' : new URL(url).pathname.slice(1);
  return name === '' ? 'reef' : decodeURIComponent(name);
}

/** An admin's URL always names a database to connect to; PostgreSQL would otherwise take the user's name for one. */
export function externalAdminUrl(url: string): string {
  const parsed = new URL(url);
  if (parsed.pathname === '' || parsed.pathname === '/') parsed.pathname = '/postgres';
  return parsed.href;
}

/** Where each service's database is reached. Asks nobody. */
export function databasesOf(adminUrl: string, prefix: string, passwords: Passwords): Wiring['databases'] {
  return Object.fromEntries(
    statefulServices.map((name) => [name, databaseUrls(adminUrl, provision(prefix, name, passwords))]),
  ) as Record<StatefulService, ProvisionedDatabase>;
}

/** Makes and migrates the databases that are not yet what this build wants; resolves with the names of those. Cancelling ends a migration. */
export async function prepareDatabases(
  adminUrl: string,
  prefix: string,
  layout: Layout,
  env: NodeJS.ProcessEnv,
  wiring: Wiring,
  cancelled: AbortSignal,
): Promise<readonly StatefulService[]> {
  const marks = await marksOf(adminUrl, prefix);
  const outdated = statefulServices.filter(
    (name) => marks.get(`${prefix}_${name}`) !== wantedMark(name, wiring.passwords),
  );
  for (const name of outdated) await provisionDatabase(adminUrl, provision(prefix, name, wiring.passwords));
  await atMost(migrationsAtOnceMax, outdated, async (name) => {
    await migrate(name, layout, ownerEnvironment(name, env, layout, wiring), cancelled);
    await mark(wiring.databases[name].ownerUrl, `${prefix}_${name}`, wantedMark(name, wiring.passwords));
  });
  return outdated;
}

/** Removes the stack's own databases and roles; nothing else on that server. */
export async function dropDatabases(adminUrl: string, prefix: string): Promise<void> {
  for (const name of statefulServices) await dropDatabase(adminUrl, `${prefix}_${name}`);
}

function provision(prefix: string, name: StatefulService, passwords: Passwords) {
  return { database: `${prefix}_${name}`, rolePassword: passwords.roles[name] };
}

async function migrate(
  name: StatefulService,
  layout: Layout,
  env: NodeJS.ProcessEnv,
  cancelled: AbortSignal,
): Promise<void> {
  cancelled.throwIfAborted();
  const main = mainFile(name);
  if (!existsSync(main)) throw new Explained(`${main} is missing: ${name} has not been built`);
  const logFile = layout.logFile(name);
  const child = await startChild({
    command: process.execPath,
    args: [...nodeFlags, main, 'migrate'],
    env,
    cwd: layout.home,
    logFile,
    signalOnParentDeath: 'SIGTERM',
  });
  const stop = () => void child.stop('SIGTERM', 5_000);
  const timer = setTimeout(stop, migrationLimitMs);
  cancelled.addEventListener('abort', stop);
  const exit = await child.exited;
  cancelled.removeEventListener('abort', stop);
  clearTimeout(timer);
  if (exit.code === 0) return;
  throw new Explained(
    `the migration of ${name} ended with ${exit.signal ?? `code ${exit.code}`}: ${readable(child.lastWords())}\n(All of it is in ${logFile}.)`,
  );
}

/**
 * What a database was last brought to stands in the database itself, as its comment: a copy of REEF_HOME, a wiped data
 * directory or a second home on one server cannot disagree with it.
 */
function wantedMark(name: StatefulService, passwords: Passwords): string {
  const hash = createHash('sha256');
  // The event store's own tables and functions come from all over eventing.
  const service = scriptsIn(join(repositoryRoot, 'apps', name, 'dist'), 'migrations');
  for (const file of [...service, ...scriptsIn(join(repositoryRoot, 'libs', 'eventing', 'dist'), '')]) {
    hash.update(relative(repositoryRoot, file)).update(readFileSync(file));
  }
  return `reef ${hash.update(passwords.roles[name]).digest('hex')}`;
}

function scriptsIn(folder: string, prefix: string): readonly string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.startsWith(prefix) && /\.(js|sql)$/.test(file))
    .sort()
    .map((file) => join(folder, file));
}

async function marksOf(adminUrl: string, prefix: string): Promise<ReadonlyMap<string, string>> {
  const rows = await query<{ name: string; mark: string | null }>(
    adminUrl,
    `SELECT datname AS name, shobj_description(oid, 'pg_database') AS mark FROM pg_database WHERE datname = ANY($1)`,
    [statefulServices.map((name) => `${prefix}_${name}`)],
  );
  return new Map(rows.flatMap(({ name, mark: text }) => (text === null ? [] : [[name, text]])));
}

async function mark(ownerUrl: string, database: string, text: string): Promise<void> {
  // Both are made of letters, digits, underscores and one space.
  await query(ownerUrl, `COMMENT ON DATABASE "${database}" IS '${text}'`);
}

async function query<Row extends object>(url: string, text: string, values: unknown[] = []): Promise<Row[]> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: connectLimitMs });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.query<Row>(text, values)).rows;
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function atMost<T>(limit: number, items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items];
  const worker = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: limit }, worker));
}
