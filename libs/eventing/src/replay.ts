import type { Pool, PoolClient } from 'pg';
import type { AnyAggregate } from './aggregate.js';
import type { DomainEvent } from './decider.js';
import { decodeStored, type StoredRow } from './stored-event.js';
import type { Projection, Row } from './projection.js';
import { openColumn, sealRow } from './sealed-columns.js';
import type { TenantKeys } from './tenant-keys.js';

const EVENTS_PER_READ = 5_000;
const DIFFERENCES_MAX = 100;
const ATTEMPTS_MAX = 10;
const SERIALIZATION_FAILURE = '40001';

export interface ReplayReport {
  readonly events: number;
  readonly rows: number;
  /** Rows that the events do not explain, or that are missing or different; keys only, no content. */
  readonly differences: readonly string[];
}

export interface ReplayOptions {
  readonly aggregates: readonly AnyAggregate[];
  /** The role that owns the tables. */
  readonly owner: Pool;
  readonly keys: TenantKeys;
  /** Compare and report, or write what follows from the events. */
  readonly check: boolean;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the list's element type forgets the states
type AnyProjection = Projection<any, any>;
type Expected = Map<AnyProjection, Map<string, Row>>;

/**
 * Folds every stream again, one tenant at a time, each in one snapshot of the database: so it may run while the service
 * serves, and holds one tenant in memory. Reactions do not run.
 *
 * With `check` the read models are compared with what follows from the events; otherwise they are replaced by it, a tenant
 * at once. Writers of that tenant wait meanwhile.
 */
export async function replay(options: ReplayOptions): Promise<ReplayReport> {
  const projections = [...new Set(options.aggregates.flatMap((aggregate) => aggregate.projections))] as AnyProjection[];
  const { rows: tenants } = await options.owner.query<{ tenant_id: string }>(
    'select distinct tenant_id from es.stream order by 1',
  );
  let events = 0;
  let rows = 0;
  const differences: string[] = [];
  for (const { tenant_id: tenant } of tenants) {
    const done = await replayTenant(options, projections, tenant);
    events += done.events;
    rows += done.rows;
    differences.push(...done.differences);
  }
  for (const { table } of projections) {
    const orphans = await options.owner.query<{ tenant_id: string }>(
      `select distinct tenant_id from view.${table} v where not exists (select from es.stream s where s.tenant_id = v.tenant_id)`,
    );
    differences.push(...orphans.rows.map(({ tenant_id }) => `${table}: rows of ${tenant_id}, which has no events`));
  }
  return { events, rows, differences: differences.slice(0, DIFFERENCES_MAX) };
}

async function replayTenant(
  options: ReplayOptions,
  projections: readonly AnyProjection[],
  tenant: string,
): Promise<ReplayReport> {
  await options.keys.ensure([tenant]);
  const client = await options.owner.connect();
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        await client.query(
          options.check ? 'begin isolation level repeatable read read only' : 'begin isolation level repeatable read',
        );
        if (!options.check)
          await client.query('select from es.stream where tenant_id = $1 order by stream_id for update', [tenant]);
        const expected: Expected = new Map(projections.map((projection) => [projection, new Map()]));
        const events = await foldTenant(client, options, tenant, expected);
        const differences: string[] = [];
        let rows = 0;
        for (const [projection, wanted] of expected) {
          rows += wanted.size;
          if (options.check) differences.push(...(await compare(client, options.keys, tenant, projection, wanted)));
          else await replace(client, options.keys, tenant, projection, wanted);
        }
        await client.query('commit');
        return { events, rows, differences };
      } catch (error) {
        await client.query('rollback').catch(() => undefined);
        // A stream moved on between the snapshot and its lock.
        if ((error as { code?: string }).code !== SERIALIZATION_FAILURE || attempt >= ATTEMPTS_MAX) throw error;
      }
    }
  } finally {
    client.release();
  }
}

interface Folding {
  readonly stream: string;
  readonly aggregate: AnyAggregate;
  state: unknown;
  readonly events: DomainEvent[];
}

async function foldTenant(
  client: PoolClient,
  options: ReplayOptions,
  tenant: string,
  expected: Expected,
): Promise<number> {
  const aggregates = new Map(options.aggregates.map((aggregate) => [aggregate.name, aggregate]));
  let count = 0;
  let current: Folding | undefined;
  const finish = (folding: Folding | undefined) => {
    if (!folding) return;
    const { stream, aggregate, state, events } = folding;
    for (const projection of aggregate.projections) {
      const rows = expected.get(projection);
      for (const change of projection.rows({ tenant, stream, state, events })) {
        if ('upsert' in change) rows?.set(keyOf(projection, change.upsert), change.upsert);
        else rows?.delete(keyOf(projection, change.delete));
      }
    }
  };
  let after = { stream: '', version: 0 };
  for (;;) {
    const { rows } = await client.query<StoredRow>({
      name: 'replay',
      text: `select tenant_id, stream_id, version, type, schema_version, data from es.event
             where tenant_id = $1 and (stream_id, version) > ($2, $3) order by stream_id, version limit ${EVENTS_PER_READ}`,
      values: [tenant, after.stream, after.version],
    });
    for (const row of rows) {
      if (current?.stream !== row.stream_id) {
        finish(current);
        const aggregate = aggregates.get(row.stream_id.split('/', 1)[0] ?? '');
        if (!aggregate) throw new Error(`no aggregate for the stream ${row.stream_id}`);
        current = { stream: row.stream_id, aggregate, state: aggregate.decider.initial, events: [] };
      }
      const event = decodeStored(options.keys, current.aggregate, row);
      current.state = current.aggregate.decider.evolve(current.state, event);
      current.events.push(event);
    }
    count += rows.length;
    const last = rows.at(-1);
    if (!last || rows.length < EVENTS_PER_READ) break;
    after = { stream: last.stream_id, version: last.version };
  }
  finish(current);
  return count;
}

async function compare(
  client: PoolClient,
  keys: TenantKeys,
  tenant: string,
  projection: AnyProjection,
  wanted: Map<string, Row>,
): Promise<string[]> {
  // Both sides pass through the table's own types, so that 1 and 1.0, or two spellings of a time, are equal.
  const { rows: live } = await client.query<{ row: Row }>(
    `select to_json(v) as row from view.${projection.table} v where tenant_id = $1`,
    [tenant],
  );
  const { rows: typed } = await client.query<{ row: Row }>(
    `select to_json(r) as row from json_populate_recordset(null::view.${projection.table}, $1) r`,
    [toJson([...wanted.values()].map((row) => ({ tenant_id: tenant, ...row })))],
  );
  const should = new Map(typed.map(({ row }) => [keyOf(projection, row), row]));
  const differences: string[] = [];
  for (const { row } of live) {
    const key = keyOf(projection, row);
    const expected = should.get(key);
    should.delete(key);
    if (!expected) differences.push(`${projection.table} ${tenant} ${key}: no event explains this row`);
    else {
      const columns = Object.keys(wanted.get(key) ?? {}).filter(
        (column) =>
          textOf(keys, tenant, projection, column, row[column], true) !==
          textOf(keys, tenant, projection, column, expected[column], false),
      );
      if (columns.length > 0) differences.push(`${projection.table} ${tenant} ${key}: ${columns.join(', ')} differ`);
    }
  }
  for (const key of should.keys()) differences.push(`${projection.table} ${tenant} ${key}: the row is missing`);
  return differences;
}

function textOf(
  keys: TenantKeys,
  tenant: string,
  projection: AnyProjection,
  column: string,
  value: unknown,
  live: boolean,
): string {
  if (live && typeof value === 'string' && projection.sealed?.includes(column)) {
    return JSON.stringify(openColumn(keys, tenant, projection.table, column, value));
  }
  return JSON.stringify(value ?? null);
}

async function replace(
  client: PoolClient,
  keys: TenantKeys,
  tenant: string,
  projection: AnyProjection,
  wanted: Map<string, Row>,
): Promise<void> {
  await client.query(`delete from view.${projection.table} where tenant_id = $1`, [tenant]);
  if (wanted.size === 0) return;
  const rows = [...wanted.values()].map((row) => ({ tenant_id: tenant, ...sealRow(keys, tenant, projection, row) }));
  await client.query('select es.write_rows($1, $2, null)', [projection.table, toJson(rows)]);
}

const keyOf = (projection: AnyProjection, row: Row) => projection.key.map((column) => String(row[column])).join(' ');
const toJson = (rows: readonly Row[]) =>
  JSON.stringify(rows, (_key, value: unknown) => (typeof value === 'bigint' ? value.toString() : value));
