import pg from 'pg';
import type { Logger } from 'pino';

const CONNECT_TIMEOUT_MS = 5_000;
const IDLE_TIMEOUT_MS = 60_000;
/** Whoever holds a connection that ended has this long to notice and give it back, ms. */
const NOTICE_MS = 1_000;

/** Connections to one database under one role. */
export function pool(connectionString: string, max: number, logger: Logger, name: string): pg.Pool {
  const made = new pg.Pool({
    connectionString,
    max,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    idleTimeoutMillis: IDLE_TIMEOUT_MS,
    keepAlive: true,
    application_name: name,
  });
  // A server that goes away ends idle connections; the next query opens one.
  made.on('error', (error) => logger.warn({ err: error }, 'a database connection was lost'));
  // A connection that ends between two queries of its holder fails the next one; without a listener it would end the process.
  made.on('connect', (client) => client.on('error', () => undefined));
  return made;
}

/** For MikroORM, which makes its own pool. */
export const ormPool = {
  pool: { min: 0, max: 4, idleTimeoutMillis: IDLE_TIMEOUT_MS },
  driverOptions: { connectionTimeoutMillis: CONNECT_TIMEOUT_MS, onPoolCreated: takeBackWhatEnded },
};

/**
 * Kysely 0.29, under MikroORM, never gives back a connection whose `begin` or `rollback` failed: each restart of the server cost
 * the pool some of its places, until every query waited for ever. What ended and is still held after a while is taken back.
 */
function takeBackWhatEnded(created: pg.Pool): void {
  const held = new WeakSet<pg.ClientBase>();
  created.on('acquire', (client) => held.add(client));
  created.on('release', (_error, client) => held.delete(client));
  created.on('connect', (client) => {
    client.once('end', () => {
      setTimeout(() => {
        if (held.has(client)) client.release(true);
      }, NOTICE_MS).unref();
    });
  });
}
