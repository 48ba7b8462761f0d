import { identity, type Result, tenantId } from '@reef/contracts';
import { z } from 'zod';
import type { Identity } from '../auth/contexts.js';
import { NOT_FOUND } from '../http/refusals.js';
import { type Call, ok, pageQuery, route } from '../http/route.js';
import { activityOf, activityView } from './activity.js';

const TENANTS = '/api/platform/tenants';
const params = z.strictObject({ tenant: tenantId });

export const platformRoutes = [
  route({
    method: 'GET',
    path: TENANTS,
    summary: 'All tenants',
    access: { plane: 'platform' },
    query: z.strictObject(pageQuery),
    answer: { status: 200, body: identity.queries.tenants.output },
    handle: (call) => call.ask(identity.queries.tenants, call.query),
  }),
  route({
    method: 'POST',
    path: `${TENANTS}/{tenant}/suspend`,
    summary: 'Suspend a tenant: its keys and sessions are refused until it is resumed',
    access: { plane: 'platform' },
    params,
    body: z.strictObject({ reason: z.string().max(500).default('') }).default({ reason: '' }),
    answer: { status: 204 },
    handle: (call) => call.ask(identity.commands.suspendTenant, { ...call.params, ...call.body }),
  }),
  route({
    method: 'POST',
    path: `${TENANTS}/{tenant}/resume`,
    summary: 'Let a suspended tenant back in',
    access: { plane: 'platform' },
    params,
    answer: { status: 204 },
    handle: (call) => call.ask(identity.commands.resumeTenant, call.params),
  }),
  route({
    method: 'GET',
    path: `${TENANTS}/{tenant}/activity`,
    summary: 'What a tenant is doing right now: turns, stages and money, no content',
    access: { plane: 'platform' },
    params,
    answer: { status: 200, body: activityView },
    handle: async (call) => {
      const as = await asTenant(call, call.params.tenant);
      return as.ok ? activityOf(call, as.value) : as;
    },
  }),
];

/** The operator, for something of one tenant; a tenant that does not exist is not made by speaking of it. */
export async function asTenant(call: Call, tenant: string): Promise<Result<Identity>> {
  const as = { ...call.caller, tenant };
  const known = await call.ask(identity.queries.asOf, { at: new Date().toISOString() }, { as });
  if (!known.ok) return known;
  return known.value.status === 'absent' ? NOT_FOUND : ok(as);
}
