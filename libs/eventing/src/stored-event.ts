import type { AnyAggregate } from './aggregate.js';
import type { DomainEvent } from './decider.js';
import { decodeEvent } from './event-codec.js';
import type { TenantKeys } from './tenant-keys.js';

/** A row of `es.event`, as far as a fold needs it. */
export interface StoredRow {
  tenant_id: string;
  stream_id: string;
  version: number;
  type: string;
  schema_version: number;
  data: Record<string, unknown>;
}

/** Decodes a row of `es.event`. */
export function decodeStored(keys: TenantKeys, aggregate: AnyAggregate, row: StoredRow): DomainEvent {
  const contract = aggregate.events[row.type];
  if (!contract) throw new Error(`${aggregate.name} knows no event ${row.type}`);
  return decodeEvent(keys, contract, {
    tenant: row.tenant_id,
    stream: row.stream_id,
    version: row.version,
    type: row.type,
    schemaVersion: row.schema_version,
    data: row.data,
  });
}
