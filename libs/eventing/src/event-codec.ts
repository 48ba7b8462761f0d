import type { Event } from '@reef/contracts';
import { hasCodec } from '@reef/messaging';
import type { DomainEvent } from './decider.js';
import { ERASED, type TenantKeys } from './tenant-keys.js';

/** An event as the table holds it. */
export interface StoredEvent {
  readonly tenant: string;
  readonly stream: string;
  readonly version: number;
  readonly type: string;
  readonly schemaVersion: number;
  readonly data: Record<string, unknown>;
}

const place = (stream: string, type: string, field: string) => `${stream}|${type}|${field}`;

/** An event's data as JSON to store: contract spelling, personal fields sealed with the tenant's key. */
export function encodeEvent(
  keys: TenantKeys,
  contract: Event,
  tenant: string,
  stream: string,
  event: DomainEvent,
): object {
  const data = (hasCodec(contract.data) ? contract.data.encode(event.data as never) : event.data) as Record<
    string,
    unknown
  >;
  if (contract.personalFields.length === 0) return data;
  const stored = { ...data };
  for (const field of contract.personalFields) {
    if (stored[field] === undefined) continue;
    stored[field] = keys.seal(tenant, place(stream, event.type, field), JSON.stringify(stored[field]));
  }
  return stored;
}

/** The event as domain code knows it today, however old it is. */
export function decodeEvent(keys: TenantKeys, contract: Event, stored: StoredEvent): DomainEvent {
  let data = stored.data;
  for (let version = stored.schemaVersion; version < contract.schemaVersion; version++) {
    const lift = contract.upcast[version];
    if (!lift) throw new Error(`${contract.name} has no upcast from schema version ${version}`);
    data = lift(data);
  }
  if (contract.personalFields.length > 0) {
    data = { ...data };
    for (const field of contract.personalFields) {
      const sealed = data[field];
      if (typeof sealed === 'string') data[field] = openField(keys, stored, field, sealed);
    }
  }
  return { type: stored.type, data: hasCodec(contract.data) ? (contract.data.parse(data) as object) : data };
}

function openField(keys: TenantKeys, stored: StoredEvent, field: string, sealed: string): unknown {
  const text = keys.open(stored.tenant, place(stored.stream, stored.type, field), sealed);
  return text === ERASED ? ERASED : (JSON.parse(text) as unknown); // Sealed fields are JSON; the bare word is not.
}
