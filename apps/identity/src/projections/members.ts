import { defineEntity } from '@mikro-orm/core';
import type { Projection } from '@reef/eventing/pure';
import type { Tenant, TenantEvent } from '../domain/tenant.js';

export const MemberRow = defineEntity({
  name: 'MemberRow',
  tableName: 'members',
  schema: 'view',
  properties: (p) => ({
    tenantId: p.string().primary(),
    userId: p.uuid().primary(),
    email: p.text(),
    role: p.enum(['owner', 'admin', 'member', 'viewer'] as const),
    joinedAt: p.datetime(),
  }),
});

export const membersProjection: Projection<Tenant, TenantEvent> = {
  table: 'members',
  key: ['user_id'],
  sealed: ['email'],
  rows: ({ events }) =>
    events
      .filter((event) => event.type === 'MemberJoined')
      .map(({ data: { userId, email, role, joinedAt } }) => ({
        upsert: { user_id: userId, email, role, joined_at: joinedAt },
      })),
};
