import type { InputOf, OutputOf, telemetry } from '@reef/contracts';
import type { ClientBase, Pool } from 'pg';

type Costs = typeof telemetry.queries.costs;
type CostsByTenant = typeof telemetry.queries.costsByTenant;

/** More groups than this would not fit a message; the total counts them all the same. */
export const GROUPS_MAX = 1_000;

const groups: Record<InputOf<Costs>['groupBy'], string> = {
  agent: 'agent',
  user: `coalesce(user_id, '')`,
  model: 'model',
  source: 'source',
  day: `to_char(reserved_at at time zone 'utc', 'YYYY-MM-DD')`,
  session: 'session',
  key: `coalesce(key_id, '')`,
};

// A call belongs to the day of its reservation, as in the books of budgets, whenever it was settled.
const between = `cost_pico is not null
  and reserved_at >= coalesce($1::date, '-infinity')::timestamp at time zone 'utc'
  and reserved_at < coalesce($2::date + 1, 'infinity')::timestamp at time zone 'utc'`;

/** What the tenant's calls cost, most expensive group first. A call without a user or key is in the group ''. */
export async function costsOf(
  client: ClientBase,
  tenant: string,
  { from, to, groupBy }: InputOf<Costs>,
): Promise<OutputOf<Costs>> {
  const { rows } = await client.query(
    `select ${groups[groupBy]} as key, sum(cost_pico)::text as cost, sum(sum(cost_pico)) over ()::text as total,
       count(*) as calls, count(distinct turn_id) as turns, sum(input_tokens) as input, sum(cache_read_tokens) as cache_read,
       sum(cache_write_tokens) as cache_write, sum(output_tokens) as output, sum(reasoning_tokens) as reasoning
     from view.calls where tenant_id = $3 and ${between}
     group by 1 order by sum(cost_pico) desc, 1 limit $4`,
    [from, to, tenant, GROUPS_MAX],
  );
  return {
    items: rows.map((row) => ({
      key: row.key,
      costPico: BigInt(row.cost),
      calls: Number(row.calls),
      turns: Number(row.turns),
      tokens: {
        input: Number(row.input),
        cacheRead: Number(row.cache_read),
        cacheWrite: Number(row.cache_write),
        output: Number(row.output),
        reasoning: Number(row.reasoning),
      },
    })),
    totalPico: BigInt(rows[0]?.total ?? 0),
  };
}

/** What every tenant's calls cost, most expensive tenant first. */
export async function costsByTenant(
  feed: Pool,
  { from, to, limit }: InputOf<CostsByTenant>,
): Promise<OutputOf<CostsByTenant>> {
  const { rows } = await feed.query(
    `select tenant_id, sum(cost_pico)::text as cost, sum(sum(cost_pico)) over ()::text as total,
       count(*) as calls, count(distinct turn_id) as turns
     from view.calls where ${between} group by tenant_id order by sum(cost_pico) desc, tenant_id limit $3`,
    [from, to, limit],
  );
  return {
    items: rows.map((row) => ({
      tenant: row.tenant_id,
      costPico: BigInt(row.cost),
      calls: Number(row.calls),
      turns: Number(row.turns),
    })),
    totalPico: BigInt(rows[0]?.total ?? 0),
  };
}
