import { Controller } from '@nestjs/common';
import { identity, type InputOf, type ResultOf, type TenantContext } from '@reef/contracts';
import { decodeCursor, encodeCursor, EventStore, Views } from '@reef/eventing';
import { refuse } from '@reef/eventing/pure';
import { Query } from '@reef/messaging';
import { streamOf, tenant } from './aggregates.js';
import { unlessRole } from './permission.js';
import { ApiKeyRow } from './projections/api-keys.js';
import { MemberRow } from './projections/members.js';

const { apiKeys, members, asOf } = identity.queries;

const badCursor = () => refuse('invalid_input', 'the cursor is not one of ours');

@Controller()
export class TenantQueries {
  constructor(
    private readonly store: EventStore,
    private readonly views: Views,
  ) {}

  /** Newest first; revoked and expired ones too. */
  @Query(apiKeys)
  async apiKeys(input: InputOf<typeof apiKeys>, context: TenantContext): Promise<ResultOf<typeof apiKeys>> {
    const forbidden = unlessRole(context, 'owner', 'admin');
    if (forbidden) return forbidden;
    const after = input.cursor === undefined ? null : keyCursor(input.cursor);
    if (input.cursor !== undefined && !after) return badCursor();
    const older = after && {
      $or: [{ createdAt: { $lt: after.createdAt } }, { createdAt: after.createdAt, keyId: { $lt: after.keyId } }],
    };
    const rows = await this.views
      .of(context.tenant)
      .find(
        ApiKeyRow,
        { tenantId: context.tenant, ...older },
        { orderBy: [{ createdAt: 'desc' }, { keyId: 'desc' }], limit: input.limit + 1 },
      );
    const page = rows.slice(0, input.limit);
    const last = rows.length > page.length ? page.at(-1) : undefined;
    const items = await Promise.all(
      page.map(async (row) => ({
        keyId: row.keyId,
        name: await this.views.open(context.tenant, 'api_keys', 'name', row.name),
        role: row.role,
        createdAt: row.createdAt.toISOString(),
        expiresAt: row.expiresAt?.toISOString() ?? null,
        revokedAt: row.revokedAt?.toISOString() ?? null,
      })),
    );
    const nextCursor = last ? encodeCursor([last.createdAt.toISOString(), last.keyId]) : null;
    return { ok: true, value: { items, nextCursor } };
  }

  /** In the order of their user ids, which is the order in which they registered. */
  @Query(members)
  async members(input: InputOf<typeof members>, context: TenantContext): Promise<ResultOf<typeof members>> {
    const forbidden = unlessRole(context, 'owner', 'admin', 'member', 'viewer');
    if (forbidden) return forbidden;
    const after = input.cursor === undefined ? null : memberCursor(input.cursor);
    if (input.cursor !== undefined && !after) return badCursor();
    const rows = await this.views
      .of(context.tenant)
      .find(
        MemberRow,
        { tenantId: context.tenant, ...(after && { userId: { $gt: after } }) },
        { orderBy: { userId: 'asc' }, limit: input.limit + 1 },
      );
    const page = rows.slice(0, input.limit);
    const last = rows.length > page.length ? page.at(-1) : undefined;
    const items = await Promise.all(
      page.map(async (row) => ({
        userId: row.userId,
        email: await this.views.open(context.tenant, 'members', 'email', row.email),
        role: row.role,
        joinedAt: row.joinedAt.toISOString(),
      })),
    );
    return { ok: true, value: { items, nextCursor: last ? encodeCursor([last.userId]) : null } };
  }

  /** The tenant as it was: folded from its events up to that time. */
  @Query(asOf)
  async asOf(input: InputOf<typeof asOf>, context: TenantContext): Promise<ResultOf<typeof asOf>> {
    const forbidden = unlessRole(context, 'owner', 'admin', 'operator');
    if (forbidden) return forbidden;
    const then = await this.store.asOf(tenant, context.tenant, streamOf.tenant(context.tenant), new Date(input.at));
    const everybody = then.status === 'absent' ? [] : Object.entries(then.members);
    return {
      ok: true,
      value: { status: then.status, members: everybody.map(([userId, role]) => ({ userId, role })) },
    };
  }
}

function keyCursor(cursor: string): { createdAt: Date; keyId: string } | null {
  const [createdAt, keyId, ...rest] = decodeCursor(cursor) ?? [];
  if (typeof createdAt !== 'string' || typeof keyId !== 'string' || rest.length > 0) return null;
  const date = new Date(createdAt);
  return Number.isNaN(date.getTime()) || !/^[a-z0-9]{16}$/.test(keyId) ? null : { createdAt: date, keyId };
}

function memberCursor(cursor: string): string | null {
  const [userId, ...rest] = decodeCursor(cursor) ?? [];
  const good =
    typeof userId === 'string' && rest.length === 0 && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(userId);
  return good ? userId : null;
}
