import {
  budgets,
  dispatch,
  identity,
  type InputOf,
  memory,
  type OutputOf,
  type telemetry,
  workspace,
} from '@reef/contracts';
import { decodeCursor, encodeCursor } from '@reef/eventing';
import type { ClientBase } from 'pg';

type Query = typeof telemetry.queries.audit;
type Entry = OutputOf<Query>['items'][number];

/** A page ends early rather than outgrow a NATS message (1 MB). */
const PAGE_BYTES_MAX = 700_000;
const SEALED = 'sealed';

const events = [identity, budgets, dispatch, workspace, memory].flatMap((contract) => Object.values(contract.events));
const personalFields = new Map(events.map((event) => [`${event.service}.${event.name}`, event.personalFields]));

interface Row {
  event_id: string;
  service: string;
  type: string;
  stream: string;
  version: number;
  actor: string;
  at: string;
  data: Record<string, unknown>;
}

/** A page of the tenant's events, oldest first; null for a cursor that is not ours. */
export async function auditPage(client: ClientBase, tenant: string, { limit, cursor }: InputOf<Query>) {
  const after = cursor === undefined ? ['-infinity', '00000000-0000-0000-0000-000000000000'] : positionOf(cursor);
  if (!after) return null;
  const { rows } = await client.query<Row>(
    `select event_id, service, type, stream, version, actor, data,
       to_char(occurred_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at
     from view.audit where tenant_id = $1 and (occurred_at, event_id) > ($2, $3) order by occurred_at, event_id limit $4`,
    [tenant, ...after, limit + 1],
  );
  const items: Entry[] = [];
  let bytes = 0;
  for (const row of rows.slice(0, limit)) {
    const entry = entryOf(row);
    bytes += Buffer.byteLength(JSON.stringify(entry));
    if (items.length > 0 && bytes > PAGE_BYTES_MAX) break;
    items.push(entry);
  }
  const last = items.at(-1);
  const more = last !== undefined && items.length < rows.length;
  return { items, nextCursor: more ? encodeCursor([last.occurredAt, last.eventId]) : null };
}

function entryOf({ event_id, service, type, stream, version, actor, at, data }: Row): Entry {
  return {
    eventId: event_id,
    service,
    type,
    stream,
    version,
    actor,
    occurredAt: at,
    data: withoutPersonal(service, type, data),
  };
}

/** The personal fields' ciphertext says nothing to a reader; an event that no contract knows any more shows its field names alone. */
function withoutPersonal(service: string, type: string, data: Record<string, unknown>): Record<string, unknown> {
  const personal = personalFields.get(`${service}.${type}`);
  return Object.fromEntries(
    Object.entries(data).map(([field, value]) => {
      const hidden = !personal || personal.includes(field);
      return [field, hidden && value !== null ? SEALED : value];
    }),
  );
}

function positionOf(cursor: string): [string, string] | null {
  const values = decodeCursor(cursor);
  const [at, eventId] = values ?? [];
  const good =
    values?.length === 2 &&
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/.test(String(at)) &&
    /^[0-9a-f-]{36}$/.test(String(eventId));
  return good ? [String(at), String(eventId)] : null;
}
