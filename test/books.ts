import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import type { Stack } from './stack.js';

export const databases = ['identity', 'budgets', 'dispatch', 'workspace', 'memory', 'telemetry'] as const;
export type Database = (typeof databases)[number];

/** Looks into a service's own database, past its API and every policy: what is really written there. */
export async function rowsOf<Row extends pg.QueryResultRow>(
  stack: Stack,
  database: Database,
  sql: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const { postgres: password } = JSON.parse(readFileSync(join(stack.home, 'keys', 'passwords.json'), 'utf8')) as {
    postgres: string;
  };
  const state = JSON.parse(readFileSync(join(stack.home, 'state.json'), 'utf8')) as {
    services: { name: string; port: number }[];
  };
  const port = state.services.find(({ name }) => name === 'postgres')?.port;
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', password, database: `reef_${database}` });
  client.on('error', () => undefined); // A server that is killed meanwhile fails the query, and that is enough.
  await client.connect();
  try {
    return (await client.query<Row>(sql, [...values])).rows;
  } finally {
    await client.end();
  }
}

/** How many events a tenant has in each service's log. */
export async function eventsOf(stack: Stack, tenant: string): Promise<Record<string, number>> {
  const counts = await Promise.all(
    databases
      .filter((name) => name !== 'telemetry')
      .map(async (name) => {
        const [row] = await rowsOf<{ n: number }>(
          stack,
          name,
          'select count(*)::int as n from es.event where tenant_id = $1',
          [tenant],
        );
        return [name, row?.n ?? 0] as const;
      }),
  );
  return Object.fromEntries(counts);
}

/** What the ledger says the tenant's calls cost, pico-USD. */
export async function ledgerCostPico(stack: Stack, tenant: string): Promise<bigint> {
  const [row] = await rowsOf<{ pico: string }>(
    stack,
    'budgets',
    'select coalesce(sum(cost_pico), 0)::text as pico from view.ledger where tenant_id = $1',
    [tenant],
  );
  return BigInt(row?.pico ?? 0);
}

/** A decimal of USD, as the API writes money, in pico-USD. */
export function picoOf(usd: string): bigint {
  const [whole = '0', fraction = ''] = usd.split('.');
  return BigInt(whole) * 10n ** 12n + BigInt(fraction.padEnd(12, '0'));
}
