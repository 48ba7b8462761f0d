import type { FeedEvent } from '@reef/messaging';
import type { Pool, PoolClient } from 'pg';
import { factsOf } from './feed/facts.js';
import { foldFacts, TRANSACTION_LIMIT_MS } from './feed/fold.js';

const PAGE = 2_000;
const DIFFERENCES_MAX = 100;
const ONE_REBUILD_AT_A_TIME = 0x7265_706c;
/** How long the last step waits for folds in progress before it gives up, ms. */
const LOCK_LIMIT_MS = 60_000;
const BUILT = { calls: 'replay.calls', turns: 'replay.turns' };
const keys = { calls: 'reservation_id', turns: 'turn_id' } as const;

/**
 * Rebuilds calls and turns from the audit, telemetry's own record of everybody's events, beside the live tables. Folding goes
 * on meanwhile; only the last step, which reads what came in between and compares, holds it up.
 * @param options.check compares and changes nothing; otherwise rows that differ are replaced.
 * @returns rows rebuilt, events read, and the rows that differed (at most 100 of them, then their number).
 */
export async function replay(
  owner: Pool,
  { check }: { check: boolean },
): Promise<{ rows: number; events: number; differences: string[] }> {
  const client = await owner.connect();
  try {
    await client.query('select pg_advisory_lock($1)', [ONE_REBUILD_AT_A_TIME]);
    await client.query('drop schema if exists replay cascade');
    await client.query('create schema replay');
    for (const table of ['calls', 'turns']) {
      await client.query(`create unlogged table replay.${table} (like view.${table} including all)`);
    }
    const { rows } = await client.query<{ now: string }>('select clock_timestamp()::text as now');
    const startedAt = rows[0]?.now ?? '-infinity';
    // Every page is its own transaction: a long one would stall the feeds of all services on this server.
    const events = await foldAudit(client, '-infinity');

    await client.query('begin');
    await client.query(`set local lock_timeout = ${LOCK_LIMIT_MS}`);
    await client.query('lock table view.audit, view.calls, view.turns in exclusive mode');
    await foldAudit(client, startedAt);
    const differences = [...(await differencesOf(client, 'calls')), ...(await differencesOf(client, 'turns'))];
    if (!check) for (const table of ['calls', 'turns'] as const) await replaceDifferent(client, table);
    const counted = await client.query<{ rows: string }>(
      'select (select count(*) from replay.calls) + (select count(*) from replay.turns) as rows',
    );
    await client.query('commit');
    return { rows: Number(counted.rows[0]?.rows ?? 0), events, differences };
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  } finally {
    await client.query('drop schema if exists replay cascade').catch(() => undefined);
    client.release(true); // The advisory lock ends with the connection.
  }
}

/** Folds the audit in its order, tenant by tenant. What was recorded shortly before `since` is read again: folding bears it. */
async function foldAudit(client: PoolClient, since: string): Promise<number> {
  let after = ['', '-infinity', '00000000-0000-0000-0000-000000000000'];
  for (let count = 0; ;) {
    const { rows } = await client.query<FeedEvent & { at: string }>(
      `select tenant_id as tenant, event_id as "eventId", service, type, stream, version, schema_version as "schemaVersion", data, actor,
         command_id as "commandId", correlation_id as "correlationId", causation_id as "causationId", null as traceparent, occurred_at::text as at
       from view.audit
       where (tenant_id, occurred_at, event_id) > ($1, $2::timestamptz, $3::uuid)
         and recorded_at >= $4::timestamptz - $5::int * interval '1 ms'
       order by tenant_id, occurred_at, event_id limit $6`,
      [...after, since, TRANSACTION_LIMIT_MS, PAGE],
    );
    await foldFacts(client, factsOf(rows), BUILT);
    count += rows.length;
    const last = rows.at(-1);
    if (!last || rows.length < PAGE) return count;
    after = [last.tenant, last.at, last.eventId];
  }
}

async function differencesOf(client: PoolClient, table: 'calls' | 'turns'): Promise<string[]> {
  const key = keys[table];
  const { rows } = await client.query<{ tenant: string; id: string; what: string; total: string }>(
    `select tenant_id as tenant, ${key} as id, count(*) over () as total,
       case when live.ctid is null then 'is missing' when built.ctid is null then 'follows from no event' else 'differs' end as what
     from view.${table} live full join replay.${table} built using (tenant_id, ${key})
     where live.ctid is null or built.ctid is null or row(live.*) is distinct from row(built.*)
     order by 1, 2 limit ${DIFFERENCES_MAX}`,
  );
  const total = Number(rows[0]?.total ?? 0);
  const shown = rows.map(({ tenant, id, what }) => `${table} ${tenant}/${id} ${what}`);
  return total > shown.length ? [...shown, `${table}: ${total} rows differ`] : shown;
}

/** Only rows that differ are written: the table keeps its policies, grants and indexes, and the transaction stays short. */
async function replaceDifferent(client: PoolClient, table: 'calls' | 'turns'): Promise<void> {
  const same = `built.tenant_id = live.tenant_id and built.${keys[table]} = live.${keys[table]}`;
  await client.query(
    `delete from view.${table} live where not exists (
       select from replay.${table} built where ${same} and row(built.*) is not distinct from row(live.*))`,
  );
  await client.query(
    `insert into view.${table} select * from replay.${table} built
     where not exists (select from view.${table} live where ${same})`,
  );
}
