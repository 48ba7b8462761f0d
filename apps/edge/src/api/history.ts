import { agentView, budgets, dispatch, identity, instant, telemetry } from '@reef/contracts';
import { z } from 'zod';
import { ok, pageQuery, route } from '../http/route.js';
import { standing, standingToHttp } from './amounts.js';

const TENANT = '/api/tenants/{tenant}';
const { status, members } = identity.queries.asOf.output.shape;

export const historyRoutes = [
  route({
    method: 'GET',
    path: `${TENANT}/audit`,
    summary: 'Every state change of the tenant, oldest first',
    access: { plane: 'tenant', role: 'admin' },
    // `after` is the cursor by the name an auditor expects.
    query: z.strictObject({ ...pageQuery, after: pageQuery.cursor }),
    answer: { status: 200, body: telemetry.queries.audit.output },
    handle: (call) => {
      const { limit, cursor, after = cursor } = call.query;
      return call.ask(telemetry.queries.audit, { limit, ...(after !== undefined && { cursor: after }) });
    },
  }),
  route({
    method: 'GET',
    path: `${TENANT}/as-of`,
    summary: 'The tenant, its agents and its limits as they were at a moment, folded from the events until then',
    access: { plane: 'tenant', role: 'admin' },
    query: z.strictObject({ at: instant }),
    answer: {
      status: 200,
      body: z.object({
        at: z.string(),
        tenant: z.object({ status, members }),
        agents: z.array(agentView),
        limits: z.array(standing),
      }),
    },
    handle: async (call) => {
      const [tenant, agents, limits] = await Promise.all([
        call.ask(identity.queries.asOf, call.query),
        call.ask(dispatch.queries.asOf, call.query),
        call.ask(budgets.queries.asOf, call.query),
      ]);
      if (!tenant.ok) return tenant;
      if (!agents.ok) return agents;
      if (!limits.ok) return limits;
      return ok({
        at: call.query.at,
        tenant: tenant.value,
        agents: agents.value.agents,
        limits: limits.value.limits.map(standingToHttp),
      });
    },
  }),
];
