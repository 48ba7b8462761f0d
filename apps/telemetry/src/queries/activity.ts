import type { InputOf, OutputOf, telemetry } from '@reef/contracts';
import type { ClientBase } from 'pg';
import { standing } from '../domain/call.js';
import { stages } from '../domain/turn.js';

type Query = typeof telemetry.queries.activity;

/** Turns shown that have not ended; `queued` counts them all. */
const OPEN_MAX = 500;

interface Row {
  turn_id: string;
  agent: string;
  user_id: string | null;
  session: string;
  stage: number;
  since: Date;
  ended_at: Date | null;
  held: string;
  spent: string;
}

// A turn that is still queued shows since when it waits.
const shown = `
  select t.turn_id, t.agent, t.user_id, t.session, t.stage, coalesce(t.started_at, t.requested_at) as since, t.ended_at,
    coalesce(c.held, 0)::text as held, coalesce(c.spent, 0)::text as spent
  from turn t
  left join lateral (
    select sum(held_pico) filter (where standing = ${standing.held}) as held, sum(cost_pico) as spent
    from view.calls where tenant_id = $1 and turn_id = t.turn_id
  ) c on true`;

/** What the tenant's agents are doing, oldest first, and what they did last, newest first. */
export async function activityOf(
  client: ClientBase,
  tenant: string,
  { recentMax }: InputOf<Query>,
): Promise<OutputOf<Query>> {
  // A turn of which only the start or the end has arrived is not yet known by agent.
  const open = await client.query<Row>(
    `with turn as (
       select * from view.turns where tenant_id = $1 and ended_at is null and agent is not null order by requested_at limit $2
     ) ${shown} order by t.requested_at, t.turn_id`,
    [tenant, OPEN_MAX],
  );
  const ended = await client.query<Row>(
    `with turn as (
       select * from view.turns where tenant_id = $1 and ended_at is not null and agent is not null order by ended_at desc limit $2
     ) ${shown} order by t.ended_at desc, t.turn_id`,
    [tenant, recentMax],
  );
  const queued = await client.query<{ queued: string }>(
    'select count(*) as queued from view.turns where tenant_id = $1 and ended_at is null and stage = 0',
    [tenant],
  );
  return {
    turns: open.rows.map((row) => ({ ...turnOf(row), session: row.session, heldPico: BigInt(row.held) })),
    queued: Number(queued.rows[0]?.queued ?? 0),
    recent: ended.rows.map(turnOf),
  };
}

function turnOf(row: Row) {
  return {
    turn: row.turn_id,
    agent: row.agent,
    user: row.user_id,
    stage: stages[row.stage] ?? 'queued',
    startedAt: row.since.toISOString(),
    endedAt: row.ended_at?.toISOString() ?? null,
    spentPico: BigInt(row.spent),
  };
}
