import { budgets, dispatch, identity, type InputOf, memory, type Request, telemetry, workspace } from '@reef/contracts';
import { checkAll, type Readiness } from '@reef/service/process';
import { z } from 'zod';
import { THE_EDGE } from '../auth/contexts.js';
import type { Edge } from '../edge.js';
import { ok, route, SENT } from '../http/route.js';
import { LIMITS } from '../limits.js';

/** Answers that show that nobody, or nobody in good health, is there; every other one shows a service at work. */
const ABSENT: readonly string[] = ['unavailable', 'deadline_exceeded', 'overloaded', 'internal'];
const CHECK_EVERY_MS = 1_000;

const checks = z.record(z.string(), z.enum(['ready', 'not_ready']));

export const operationsRoutes = [
  route({
    method: 'GET',
    path: '/healthz',
    summary: 'Whether the process is alive',
    access: { plane: 'public' },
    answer: { status: 200, body: z.object({ status: z.literal('alive') }) },
    handle: async () => ok({ status: 'alive' as const }),
  }),
  route({
    method: 'GET',
    path: '/readyz',
    summary: 'Whether everything the edge needs answers, by name; 503 where something does not',
    access: { plane: 'public' },
    answer: { status: 200, body: z.object({ status: z.enum(['ready', 'not_ready']), checks }) },
    async handle(call) {
      const found = await readiness(call.edge);
      const good = Object.values(found).every((state) => state === 'ready');
      await call.reply
        .code(good ? 200 : 503)
        .header('content-type', 'application/json; charset=utf-8')
        .send(JSON.stringify({ status: good ? 'ready' : 'not_ready', checks: found }));
      return SENT;
    },
  }),
  route({
    method: 'GET',
    path: '/metrics',
    summary: "The edge's metrics, in Prometheus' format",
    access: { plane: 'public' },
    answer: { status: 200, media: ['text/plain'] },
    async handle(call) {
      const text = await call.edge.metrics();
      await call.reply.header('content-type', 'text/plain; version=0.0.4; charset=utf-8').send(text);
      return SENT;
    },
  }),
];

const asked = new WeakMap<Edge, { atMs: number; checks: ReturnType<typeof checkAll> }>();

/** Asked at most once a second, however many probes there are: this route is open to everybody. */
function readiness(edge: Edge): ReturnType<typeof checkAll> {
  const known = asked.get(edge);
  if (known && Date.now() - known.atMs < CHECK_EVERY_MS) return known.checks;
  const fresh = { atMs: Date.now(), checks: checkAll(dependencies(edge)) };
  asked.set(edge, fresh);
  return fresh.checks;
}

/** One cheap question to each service. */
const dependencies = (edge: Edge): Readiness => ({
  nats: async () => (await edge.nats.rtt()) >= 0,
  identity: answers(edge, identity.queries.authenticate, { credential: 'readiness' }),
  budgets: answers(edge, budgets.queries.balance, {}),
  dispatch: answers(edge, dispatch.queries.agents, { limit: 1 }),
  workspace: answers(edge, workspace.queries.usage, {}),
  memory: answers(edge, memory.queries.hasMemories, { agent: 'main', user: null }),
  telemetry: answers(edge, telemetry.queries.activity, { recentMax: 0 }),
});

function answers<Message extends Request>({ requests, contexts }: Edge, message: Message, input: InputOf<Message>) {
  return async () => {
    const onBehalfOf = contexts.of(THE_EDGE, 'readiness');
    const result = await requests.send(message, onBehalfOf, input, { timeoutMs: LIMITS.readyCheckMs });
    return result.ok || !ABSENT.includes(result.code);
  };
}
