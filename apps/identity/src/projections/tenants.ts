import type { Projection } from '@reef/eventing/pure';
import type { Tenant, TenantEvent } from '../domain/tenant.js';

/** One row a tenant; operators read it across tenants. */
export const tenantsProjection: Projection<Tenant, TenantEvent> = {
  table: 'tenants',
  key: [],
  rows: ({ state }) =>
    state.status === 'absent' ? [] : [{ upsert: { status: state.status, created_at: state.createdAt } }],
};
