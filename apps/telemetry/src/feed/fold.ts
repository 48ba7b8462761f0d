import type { FeedEvent } from '@reef/messaging';
import type { ClientBase } from 'pg';
import type { Facts } from './facts.js';

/** Which tables a fold writes: the live ones, or those that a rebuild is filling beside them. */
export interface Tables {
  readonly calls: string;
  readonly turns: string;
}

/** A fold is over within this time, ms, or it is undone: a rebuild relies on it. */
export const TRANSACTION_LIMIT_MS = 30_000;

export const LIVE: Tables = { calls: 'view.calls', turns: 'view.turns' };

/**
 * Writes events down, each once; this table is also the inbox.
 * @returns those that were new.
 */
export async function recordAudit(client: ClientBase, events: readonly FeedEvent[]): Promise<FeedEvent[]> {
  // In the key's order, so that two instances with events in common cannot wait for each other.
  const { rows } = await client.query<{ tenant_id: string; event_id: string }>(
    `insert into view.audit (tenant_id, event_id, service, type, stream, version, schema_version, data, actor, command_id, correlation_id, causation_id, occurred_at)
     select tenant, "eventId", service, type, stream, version, "schemaVersion", data, actor, "commandId", "correlationId", "causationId", "occurredAt"
     from json_to_recordset($1) as event(tenant text, "eventId" uuid, service text, type text, stream text, version int, "schemaVersion" smallint,
       data jsonb, actor text, "commandId" text, "correlationId" text, "causationId" text, "occurredAt" timestamptz)
     order by tenant collate "C", "eventId"
     on conflict do nothing returning tenant_id, event_id`,
    [JSON.stringify(events)],
  );
  const fresh = new Set(rows.map((row) => `${row.tenant_id} ${row.event_id}`));
  // Deleting as they are found keeps one of two copies in the same batch.
  return events.filter(({ tenant, eventId }) => fresh.delete(`${tenant} ${eventId.toLowerCase()}`));
}

/**
 * Joins facts into the tables as `joinCalls` and `joinTurns` join them with each other: they may arrive in any order and more
 * than once.
 */
export async function foldFacts(client: ClientBase, facts: Facts, tables: Tables = LIVE): Promise<void> {
  if (facts.calls.length > 0)
    await client.query(joinCallsInto(tables.calls), [JSON.stringify(facts.calls.map(callRow))]);
  if (facts.turns.length > 0)
    await client.query(joinTurnsInto(tables.turns), [JSON.stringify(facts.turns.map(turnRow))]);
}

function callRow({
  tenant,
  reservationId,
  attribution,
  reservedAt,
  heldPico,
  standing,
  since,
  charge,
}: Facts['calls'][number]) {
  return {
    tenant_id: tenant,
    reservation_id: reservationId,
    turn_id: attribution.turnId,
    agent: attribution.agent,
    user_id: attribution.user,
    session: attribution.session,
    key_id: attribution.keyId,
    model: attribution.model,
    source: attribution.source,
    reserved_at: reservedAt,
    held_pico: heldPico.toString(),
    standing,
    since,
    cost_pico: charge?.costPico.toString(),
    input_tokens: charge?.usage.inputTokens,
    cache_read_tokens: charge?.usage.cacheReadTokens,
    cache_write_tokens: charge && charge.usage.cacheWriteTokens + charge.usage.cacheWrite1hTokens,
    output_tokens: charge?.usage.outputTokens,
    reasoning_tokens: charge?.usage.reasoningTokens,
    estimated: charge?.estimated,
  };
}

function turnRow({
  tenant,
  turnId,
  stage,
  agent,
  user,
  session,
  requestedAt,
  startedAt,
  endedAt,
}: Facts['turns'][number]) {
  return {
    tenant_id: tenant,
    turn_id: turnId,
    stage,
    agent,
    user_id: user,
    session,
    requested_at: requestedAt,
    started_at: startedAt,
    ended_at: endedAt,
  };
}

// What a call is attributed to and what was held are the same in each of its events; the rest goes with the standing.
const joinCallsInto = (table: string) => `
  insert into ${table} as known
  select fact.* from json_populate_recordset(null::${table}, $1) as fact order by tenant_id, reservation_id
  on conflict (tenant_id, reservation_id) do update set
    standing = excluded.standing,
    since = excluded.since,
    cost_pico = excluded.cost_pico,
    input_tokens = excluded.input_tokens,
    cache_read_tokens = excluded.cache_read_tokens,
    cache_write_tokens = excluded.cache_write_tokens,
    output_tokens = excluded.output_tokens,
    reasoning_tokens = excluded.reasoning_tokens,
    estimated = excluded.estimated
  where (excluded.standing, excluded.since, coalesce(excluded.cost_pico, 0)) > (known.standing, known.since, coalesce(known.cost_pico, 0))`;

// `greatest` and `least` pass over nulls.
const joinTurnsInto = (table: string) => `
  insert into ${table} as known
  select fact.* from json_populate_recordset(null::${table}, $1) as fact order by tenant_id, turn_id
  on conflict (tenant_id, turn_id) do update set
    stage = greatest(known.stage, excluded.stage),
    agent = greatest(known.agent, excluded.agent),
    user_id = greatest(known.user_id, excluded.user_id),
    session = greatest(known.session, excluded.session),
    requested_at = least(known.requested_at, excluded.requested_at),
    started_at = least(known.started_at, excluded.started_at),
    ended_at = least(known.ended_at, excluded.ended_at)`;
