import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startPostgres } from '@reef/embedded';
import type { Postgres } from '@reef/embedded';
import { dropDatabase, provisionDatabase } from '@reef/eventing/provision';
import { Client } from 'pg';

describe('provisioning a service’s database', () => {
  let home: string;
  let server: Postgres;
  /** May create databases and roles, and nothing more. */
  let adminUrl: string;

  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'reef-provision-'));
    server = await startPostgres({ dataDir: join(home, 'data'), password: 'p', settings: { fsync: 'off' } });
    await query(server.url, `CREATE ROLE admin LOGIN CREATEDB CREATEROLE PASSWORD 'p'`);
    await query(server.url, 'GRANT CONNECT ON DATABASE postgres TO admin');
    adminUrl = server.url.replace('//postgres:', '//admin:');
  }, 60_000);

  afterAll(async () => {
    await server.stop();
    rmSync(home, { recursive: true, force: true });
  });

  test('the owner may make tables; the app may connect and no more; neither is above row-level security', async () => {
    const made = await provisionDatabase(adminUrl, { database: 'reef_budgets', rolePassword: 'one' });
    await query(made.ownerUrl, 'CREATE TABLE secrets AS SELECT 1 AS one');
    await expect(query(made.appUrl, 'CREATE TABLE mine ()')).rejects.toMatchObject({ code: '42501' });
    await expect(query(made.appUrl, 'SELECT * FROM secrets')).rejects.toMatchObject({ code: '42501' });
    await expect(query(made.feedUrl, 'SELECT * FROM secrets')).rejects.toMatchObject({ code: '42501' });
    const flags = await query(
      made.appUrl,
      `SELECT DISTINCT rolsuper, rolbypassrls, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname LIKE 'reef\\_budgets\\_%'`,
    );
    expect(flags).toEqual([{ rolsuper: false, rolbypassrls: false, rolcreatedb: false, rolcreaterole: false }]);
  });

  test('a service’s roles cannot connect to another service’s database, nor to the server’s own', async () => {
    const memory = await provisionDatabase(adminUrl, { database: 'reef_memory', rolePassword: 'm' });
    const identity = await provisionDatabase(adminUrl, { database: 'reef_identity', rolePassword: 'i' });
    for (const url of [memory.appUrl, memory.feedUrl, memory.ownerUrl]) {
      expect(await query(url, 'SELECT current_database() AS name')).toEqual([{ name: 'reef_memory' }]);
      for (const foreign of ['reef_identity', 'postgres', 'template1']) {
        await expect(query(url.replace(/reef_memory$/, foreign), 'SELECT 1')).rejects.toMatchObject({ code: '42501' });
      }
    }
    expect(await query(identity.appUrl, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  test('twice at once is as good as once, and a changed password takes effect', async () => {
    const both = { database: 'reef_dispatch', rolePassword: 'old' };
    await Promise.all([1, 2, 3, 4].map(() => provisionDatabase(adminUrl, both)));
    const before = await provisionDatabase(adminUrl, both);
    await query(before.ownerUrl, 'CREATE TABLE kept AS SELECT 5 AS answer');

    const after = await provisionDatabase(adminUrl, { ...both, rolePassword: 'né w/@' });
    expect(await query(after.ownerUrl, 'SELECT answer FROM kept')).toEqual([{ answer: 5 }]);
    await expect(query(before.appUrl, 'SELECT 1')).rejects.toMatchObject({ code: '28P01' });
  });

  test('a database is dropped although its app is connected, and dropping it again is harmless', async () => {
    const made = await provisionDatabase(adminUrl, { database: 'reef_gone', rolePassword: 'g' });
    const app = new Client({ connectionString: made.appUrl });
    app.on('error', () => undefined);
    await app.connect();
    await dropDatabase(adminUrl, 'reef_gone');
    await dropDatabase(adminUrl, 'reef_gone');
    const left = await query(server.url, `SELECT rolname FROM pg_roles WHERE rolname LIKE 'reef\\_gone\\_%'`);
    expect(left).toEqual([]);
    await app.end().catch(() => undefined);
  });

  test('a name that could be taken for SQL, or for another role, is refused', async () => {
    for (const database of ['Reef', 'a"b', '', 'x'.repeat(57)]) {
      await expect(provisionDatabase(adminUrl, { database, rolePassword: 'p' })).rejects.toThrow(
        'cannot name a database',
      );
    }
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
