import { Controller, Inject } from '@nestjs/common';
import { identity, type InputOf, PLATFORM, type ResultOf, tenantId, type TenantContext } from '@reef/contracts';
import { decodeCursor, encodeCursor, EventStore } from '@reef/eventing';
import { refuse } from '@reef/eventing/pure';
import { Query } from '@reef/messaging';
import { FEED_DATABASE } from '@reef/service';
import { Pool } from 'pg';
import { streamOf, user } from './aggregates.js';
import { unlessOperator, unlessPlatform } from './permission.js';

const { tenants, whoAmI } = identity.queries;

interface TenantRow {
  tenant_id: string;
  status: string;
  created_at: Date;
}

@Controller()
export class PlatformQueries {
  constructor(
    private readonly store: EventStore,
    /** Reads across tenants; only the list of tenants does. */
    @Inject(FEED_DATABASE) private readonly everyTenant: Pool,
  ) {}

  /** All tenants, by name. */
  @Query(tenants)
  async tenants(input: InputOf<typeof tenants>, context: TenantContext): Promise<ResultOf<typeof tenants>> {
    const forbidden = unlessOperator(context);
    if (forbidden) return forbidden;
    const after = input.cursor === undefined ? '' : tenantCursor(input.cursor);
    if (after === null) return refuse('invalid_input', 'the cursor is not one of ours');
    const { rows } = await this.everyTenant.query<TenantRow>(
      `select tenant_id, status, created_at from view.tenants where tenant_id > $1 order by tenant_id limit $2`,
      [after, input.limit + 1],
    );
    const page = rows.slice(0, input.limit);
    const last = rows.length > page.length ? page.at(-1) : undefined;
    const items = page.map((row) => ({
      tenant: row.tenant_id,
      createdAt: row.created_at.toISOString(),
      suspended: row.status === 'suspended',
    }));
    return { ok: true, value: { items, nextCursor: last ? encodeCursor([last.tenant_id]) : null } };
  }

  /** A person about themselves; nobody else may ask. */
  @Query(whoAmI)
  async whoAmI(input: InputOf<typeof whoAmI>, context: TenantContext): Promise<ResultOf<typeof whoAmI>> {
    const forbidden = unlessPlatform(context);
    if (forbidden) return forbidden;
    if (context.principal.kind !== 'user' || context.principal.id !== input.userId) {
      return refuse('forbidden', 'this is for the user alone');
    }
    const { state: account } = await this.store.load(user, PLATFORM, streamOf.user(input.userId));
    if (account.status !== 'registered') return refuse('user_not_found', 'there is no such user');
    const { userId, email, name } = account;
    const memberships = Object.entries(account.tenants).map(([id, role]) => ({ tenant: id, role }));
    return { ok: true, value: { userId, email, name, tenants: memberships } };
  }
}

function tenantCursor(cursor: string): string | null {
  const [last, ...rest] = decodeCursor(cursor) ?? [];
  const parsed = tenantId.safeParse(last);
  return parsed.success && rest.length === 0 ? parsed.data : null;
}
