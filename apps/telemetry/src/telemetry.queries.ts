import { Controller, Inject } from '@nestjs/common';
import { type InputOf, PLATFORM, type ResultOf, telemetry, type TenantContext } from '@reef/contracts';
import { inTenants, refuse } from '@reef/eventing';
import { Query } from '@reef/messaging';
import { DATABASE, FEED_DATABASE } from '@reef/service';
import type { Pool } from 'pg';
import { activityOf } from './queries/activity.js';
import { auditPage } from './queries/audit.js';
import { costsByTenant, costsOf } from './queries/costs.js';

const { queries } = telemetry;

/** What happened, what it cost, and what is going on; each answer under the tenant's row-level security. */
@Controller()
export class TelemetryQueries {
  constructor(
    @Inject(DATABASE) private readonly database: Pool,
    @Inject(FEED_DATABASE) private readonly feed: Pool,
  ) {}

  @Query(queries.costs)
  async costs(
    input: InputOf<typeof queries.costs>,
    { tenant }: TenantContext,
  ): Promise<ResultOf<typeof queries.costs>> {
    const value = await inTenants(this.database, [tenant], (client) => costsOf(client, tenant, input));
    return { ok: true, value };
  }

  @Query(queries.costsByTenant)
  async costsByTenant(
    input: InputOf<typeof queries.costsByTenant>,
    context: TenantContext,
  ): Promise<ResultOf<typeof queries.costsByTenant>> {
    if (!isOperator(context))
      return refuse('forbidden', 'only an operator of the platform may see every tenant’s costs');
    return { ok: true, value: await costsByTenant(this.feed, input) };
  }

  @Query(queries.audit)
  async audit(
    input: InputOf<typeof queries.audit>,
    { tenant }: TenantContext,
  ): Promise<ResultOf<typeof queries.audit>> {
    const value = await inTenants(this.database, [tenant], (client) => auditPage(client, tenant, input));
    return value ? { ok: true, value } : refuse('invalid_input', 'the cursor is not one of ours');
  }

  @Query(queries.activity)
  async activity(
    input: InputOf<typeof queries.activity>,
    { tenant }: TenantContext,
  ): Promise<ResultOf<typeof queries.activity>> {
    const value = await inTenants(this.database, [tenant], (client) => activityOf(client, tenant, input));
    return { ok: true, value };
  }
}

function isOperator({ tenant, role }: TenantContext): boolean {
  return tenant === PLATFORM && role === 'operator';
}
