import { agentId, agentView, dispatch, sessionKey, turnView, uuid } from '@reef/contracts';
import { z } from 'zod';
import { andThen, pageQuery, route } from '../http/route.js';

const TENANT = '/api/tenants/{tenant}';
const agentParams = z.strictObject({ agent: agentId });
const turnParams = z.strictObject({ turn: uuid });
const { agent: _agent, ...agentChanges } = dispatch.commands.updateAgent.input.shape;

export const agentRoutes = [
  route({
    method: 'GET',
    path: `${TENANT}/agents`,
    summary: 'The agents of the tenant',
    access: { plane: 'tenant', role: 'viewer' },
    query: z.strictObject(pageQuery),
    answer: { status: 200, body: dispatch.queries.agents.output },
    handle: (call) => call.ask(dispatch.queries.agents, call.query),
  }),
  route({
    method: 'POST',
    path: `${TENANT}/agents`,
    summary: 'Create an agent',
    access: { plane: 'tenant', role: 'admin' },
    body: dispatch.commands.createAgent.input,
    answer: { status: 201, body: agentView },
    handle: (call) => call.ask(dispatch.commands.createAgent, call.body),
  }),
  route({
    method: 'GET',
    path: `${TENANT}/agents/{agent}`,
    summary: 'One agent',
    access: { plane: 'tenant', role: 'viewer' },
    params: agentParams,
    answer: { status: 200, body: agentView },
    handle: (call) => call.ask(dispatch.queries.agent, call.params),
  }),
  route({
    method: 'PATCH',
    path: `${TENANT}/agents/{agent}`,
    summary: "Change an agent's name, model or instructions",
    access: { plane: 'tenant', role: 'admin' },
    params: agentParams,
    body: z.strictObject(agentChanges),
    answer: { status: 200, body: agentView },
    handle: (call) => call.ask(dispatch.commands.updateAgent, { ...call.params, ...call.body }),
  }),
  route({
    method: 'DELETE',
    path: `${TENANT}/agents/{agent}`,
    summary: 'Archive an agent: it takes no more turns, its history stays',
    access: { plane: 'tenant', role: 'admin' },
    params: agentParams,
    answer: { status: 204 },
    handle: (call) => call.ask(dispatch.commands.archiveAgent, call.params),
  }),
];

export const sessionRoutes = [
  route({
    method: 'GET',
    path: `${TENANT}/sessions`,
    summary: 'Sessions, the most recently used first',
    access: { plane: 'tenant', role: 'member' },
    query: z.strictObject({ ...pageQuery, agent: agentId.optional() }),
    answer: { status: 200, body: dispatch.queries.sessions.output },
    handle: (call) => call.ask(dispatch.queries.sessions, call.query),
  }),
  route({
    method: 'GET',
    path: `${TENANT}/sessions/{session}`,
    summary: "A session's transcript: its newest turns, oldest first",
    access: { plane: 'tenant', role: 'member' },
    params: z.strictObject({ session: sessionKey }),
    query: z.strictObject(pageQuery),
    answer: { status: 200, body: dispatch.queries.transcript.output },
    handle: (call) => call.ask(dispatch.queries.transcript, { ...call.params, ...call.query }),
  }),
  route({
    method: 'GET',
    path: `${TENANT}/turns/{turn}`,
    summary: 'One turn: its message, its reply, what it used',
    access: { plane: 'tenant', role: 'member' },
    params: turnParams,
    answer: { status: 200, body: turnView },
    handle: (call) => call.ask(dispatch.queries.turn, { turnId: call.params.turn }),
  }),
  route({
    method: 'POST',
    path: `${TENANT}/turns/{turn}/cancel`,
    summary: 'Stop a turn; what it used until then is charged',
    access: { plane: 'tenant', role: 'member' },
    params: turnParams,
    answer: { status: 200, body: z.object({ turn: z.string(), status: z.string() }) },
    handle: async (call) =>
      andThen(await call.ask(dispatch.commands.cancelTurn, { turnId: call.params.turn }), ({ status }) => ({
        turn: call.params.turn,
        status,
      })),
  }),
];
