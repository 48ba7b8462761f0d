import { deserialize, serialize } from 'node:v8';
import type { Pool } from 'pg';
import type { Aggregate } from './aggregate.js';
import { type DomainEvent, fold } from './decider.js';
import { inTenants } from './in-tenants.js';
import type { Decision } from './commit-group.js';
import { type AnyIntent, keyOf, type StreamState } from './intent.js';
import { decodeStored, type StoredRow } from './stored-event.js';
import type { TenantKeys } from './tenant-keys.js';

/** Folds streams from PostgreSQL, from their newest snapshot on. */
export class StreamReader {
  constructor(
    private readonly pool: Pool,
    private readonly keys: TenantKeys,
  ) {}

  /** The states of several streams, of several tenants, in one round trip. A stream without events has the initial state. */
  async read(wanted: readonly Pick<AnyIntent, 'aggregate' | 'tenant' | 'stream'>[]): Promise<Map<string, StreamState>> {
    const streams = new Map(wanted.map((each) => [keyOf(each.tenant, each.stream), each]));
    if (streams.size === 0) return new Map();
    const tenants = [...new Set(wanted.map(({ tenant }) => tenant))];
    await this.keys.find(tenants);
    const list = [...streams.values()].map(({ aggregate, tenant, stream }) => ({
      t: tenant,
      s: stream,
      shape: aggregate.snapshotShape ?? 1,
    }));
    const { rows } = await this.pool.query<StoredRow & { snapshot: string | null }>({
      name: 'load',
      text: 'select * from es.load($1, $2)',
      values: [tenants, JSON.stringify(list)],
    });
    const states = new Map<string, StreamState>(
      [...streams].map(([key, { aggregate }]) => [key, { state: aggregate.decider.initial as unknown, version: 0 }]),
    );
    for (const row of rows) {
      const key = keyOf(row.tenant_id, row.stream_id);
      const aggregate = streams.get(key)?.aggregate;
      const cached = states.get(key);
      if (!aggregate || !cached) continue;
      cached.state =
        row.snapshot === null
          ? aggregate.decider.evolve(cached.state, decodeStored(this.keys, aggregate, row))
          : this.#openSnapshot(row.tenant_id, row.stream_id, row.snapshot);
      cached.version = row.version;
    }
    return states;
  }

  /** The fold of a stream up to a time, both ends included. */
  async asOf<State, Command, E extends DomainEvent, Code extends string>(
    aggregate: Aggregate<State, Command, E, Code>,
    tenant: string,
    stream: string,
    at: Date,
  ): Promise<State> {
    await this.keys.find([tenant]);
    const rows = await inTenants(this.pool, [tenant], async (client) => {
      const found = await client.query<StoredRow>(
        `select tenant_id, stream_id, version, type, schema_version, data from es.event
         where tenant_id = $1 and stream_id = $2 and occurred_at <= $3 order by version`,
        [tenant, stream, at],
      );
      return found.rows;
    });
    const events = rows.map((row) => decodeStored(this.keys, aggregate, row) as E);
    return fold(aggregate.decider, aggregate.decider.initial, events);
  }

  /** Writes a snapshot where these events crossed the aggregate's mark. It saves time; the events are the record. */
  async snapshotIfDue({ intent, events, fromVersion, state }: Decision): Promise<void> {
    const every = intent.aggregate.snapshotEvery ?? 0;
    const version = fromVersion + events.length;
    if (every === 0 || Math.floor(version / every) === Math.floor(fromVersion / every)) return;
    const sealed = this.keys.seal(intent.tenant, `snapshot|${intent.stream}`, serialize(state).toString('base64'));
    await inTenants(this.pool, [intent.tenant], (client) =>
      client.query(
        `insert into es.snapshot as s (tenant_id, stream_id, version, shape, state) values ($1, $2, $3, $4, $5)
         on conflict (tenant_id, stream_id) do update set version = excluded.version, shape = excluded.shape, state = excluded.state
         where s.version < excluded.version or s.shape <> excluded.shape`,
        [intent.tenant, intent.stream, version, intent.aggregate.snapshotShape ?? 1, sealed],
      ),
    );
  }

  #openSnapshot(tenant: string, stream: string, sealed: string): unknown {
    return deserialize(Buffer.from(this.keys.open(tenant, `snapshot|${stream}`, sealed), 'base64'));
  }
}
