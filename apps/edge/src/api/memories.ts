import { memory, memoryView, uuid } from '@reef/contracts';
import { z } from 'zod';
import { pageQuery, route } from '../http/route.js';

const MEMORIES = '/api/tenants/{tenant}/memories';
const { agent, user, text } = memory.commands.remember.input.shape;
const { agent: ofAgent, user: ofUser } = memory.queries.memories.input.shape;
const recall = memory.queries.recall.input.shape;

export const memoryRoutes = [
  route({
    method: 'GET',
    path: MEMORIES,
    summary: 'What is remembered, by agent and user',
    access: { plane: 'tenant', role: 'member' },
    query: z.strictObject({ ...pageQuery, agent: ofAgent, user: ofUser }),
    answer: { status: 200, body: memory.queries.memories.output },
    handle: (call) => call.ask(memory.queries.memories, call.query),
  }),
  route({
    method: 'POST',
    path: MEMORIES,
    summary: 'Remember a fact about a user, or, without a user, for everybody who talks with the agent',
    access: { plane: 'tenant', role: 'member' },
    body: z.strictObject({ agent, user: user.default(null), text }),
    answer: { status: 201, body: memoryView },
    handle: (call) => call.ask(memory.commands.remember, { ...call.body, turnId: null }),
  }),
  route({
    method: 'DELETE',
    path: `${MEMORIES}/{memory}`,
    summary: 'Forget',
    access: { plane: 'tenant', role: 'member' },
    params: z.strictObject({ memory: uuid }),
    answer: { status: 204 },
    handle: (call) => call.ask(memory.commands.forget, { memoryId: call.params.memory }),
  }),
  route({
    method: 'POST',
    path: `${MEMORIES}/recall`,
    summary: "The memories nearest to a text among a user's own and the shared ones",
    access: { plane: 'tenant', role: 'member' },
    bodyBytesMax: 900 * 1024,
    body: z.strictObject({ ...recall, user: recall.user.default(null) }),
    answer: { status: 200, body: memory.queries.recall.output },
    handle: (call) => call.ask(memory.queries.recall, call.body),
  }),
];
