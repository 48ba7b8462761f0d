import { mkdtempSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';
import { identify, processesIn } from '../src/process-identity.js';
import { startPostgres } from '../src/postgres.js';

describe('the embedded PostgreSQL', () => {
  let home: string;
  const start = (password = 'secret') =>
    startPostgres({ dataDir: join(home, 'data'), password, settings: { fsync: 'off' } });

  beforeEach(() => {
    home = realpathSync(mkdtempSync(join(tmpdir(), 'reef-postgres-')));
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));

  test('keeps its rows over a restart, and leaves no process behind', async () => {
    const first = await start();
    await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    await first.stop();
    expect(identify(first.pid)).toBeUndefined();

    const second = await start();
    expect(await query(second.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
    await second.stop();
    expect(processesIn(join(home, 'data'))).toEqual([]);
  });

  test('listens on loopback alone, checks passwords, and ends transactions left open', async () => {
    const server = await start();
    const settings = await query(
      server.url,
      `SELECT name, setting FROM pg_settings
        WHERE name IN ('listen_addresses', 'unix_socket_directories', 'idle_in_transaction_session_timeout', 'fsync') ORDER BY name`,
    );
    expect(settings).toEqual([
      { name: 'fsync', setting: 'off' },
      { name: 'idle_in_transaction_session_timeout', setting: '10000' },
      { name: 'listen_addresses', setting: '127.0.0.1' },
      { name: 'unix_socket_directories', setting: '' },
    ]);
    await expect(query(server.url.replace('secret', 'wrong'), 'SELECT 1')).rejects.toMatchObject({ code: '28P01' });
    expect(statSync(join(home, 'data')).mode & 0o077).toBe(0);
    await server.stop();
  });

  test('starts after it was killed and its pid was given to somebody else', async () => {
    const first = await start();
    const pidFile = join(home, 'data', 'postmaster.pid');
    const stale = readFileSync(pidFile, 'utf8');
    process.kill(first.pid, 'SIGKILL');
    await new Promise<void>((resolve) => first.onExit(() => resolve()));
    writeFileSync(pidFile, stale.replace(/^\d+/, String(process.pid)));

    const second = await start();
    expect(await query(second.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await second.stop();
  });

  test('ends a server whose owner was killed, and takes over its data', async () => {
    const orphan = await start();
    await query(orphan.url, 'CREATE TABLE kept AS SELECT 7 AS answer');
    writeFileSync(join(home, 'data', 'reef-owner.json'), JSON.stringify({ pid: 1, startedAt: 'in another boot' }));

    const heir = await start();
    expect(identify(orphan.pid)).toBeUndefined();
    expect(await query(heir.url, 'SELECT answer FROM kept')).toEqual([{ answer: 7 }]);
    await heir.stop();
  });

  test('refuses data that a living owner serves', async () => {
    const server = await start();
    writeFileSync(join(home, 'data', 'reef-owner.json'), JSON.stringify(identify(process.ppid)));
    await expect(start()).rejects.toThrow(`started by process ${process.ppid}`);
    expect(identify(server.pid)).toBeDefined();
    await server.stop();
  });

  test('says that the keys do not fit when its password is another', async () => {
    await (await start('old')).stop();
    await expect(start('new')).rejects.toThrow('belongs to other keys');
    expect(processesIn(join(home, 'data'))).toEqual([]);
  });

  test('shows the end of its log when it cannot start', async () => {
    await expect(
      startPostgres({ dataDir: join(home, 'data'), password: 'x', settings: { shared_buffers: 'a lot' } }),
    ).rejects.toThrow('invalid value for parameter "shared_buffers"');
  });
});

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.query(text)).rows;
  } finally {
    await client.end().catch(() => undefined);
  }
}
