import type { Pool, PoolClient } from 'pg';

/** Runs `work` in a transaction that may see and change rows of these tenants and no others. */
export async function inTenants<T>(
  pool: Pool,
  tenants: readonly string[],
  work: (client: PoolClient) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    await client.query(`select set_config('app.tenant_ids', $1::text[]::text, true)`, [tenants]);
    const result = await work(client);
    await client.query('commit');
    return result;
  } catch (error) {
    // A connection that broke cannot roll back; the server does.
    await client.query('rollback').catch(() => undefined);
    throw error;
  } finally {
    client.release();
  }
}
