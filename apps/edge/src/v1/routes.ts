import { dispatch, type OutputOf } from '@reef/contracts';
import { z } from 'zod';
import { refused } from '../http/refusals.js';
import { type Call, ok, route } from '../http/route.js';
import { LIMITS } from '../limits.js';
import { chatRequest, readChat } from './chat-request.js';
import { ChatReply } from './chat-reply.js';
import { agentOf } from './model-name.js';
import { ResponsesReply } from './responses-reply.js';
import { readResponses, responsesRequest } from './responses-request.js';
import { runTurn } from './run-turn.js';

const model = z.object({ id: z.string(), object: z.literal('model'), created: z.int(), owned_by: z.string() });
const anyObject = z.record(z.string(), z.unknown());
const ALIASES = ['openclaw', 'openclaw/default'];

type Agent = OutputOf<typeof dispatch.queries.agent>;
const NO_SUCH_MODEL = refused('agent_not_found', 'this model names no agent of yours', { param: 'model' });

const sessionHeader = ({ request }: Pick<Call, 'request'>) => request.headers['x-openclaw-session-key'];

export const openAiRoutes = [
  route({
    method: 'POST',
    path: '/v1/chat/completions',
    summary: 'One turn of an agent, as a chat completion; streamed with `stream: true`',
    access: { plane: 'agents', role: 'member' },
    body: chatRequest,
    bodyBytesMax: LIMITS.chatBodyBytes,
    answer: { status: 200, body: anyObject, media: ['text/event-stream'] },
    async handle(call) {
      const turn = readChat(call.body, sessionHeader(call));
      if (!turn.ok) return turn;
      const includeUsage = call.body.stream_options?.include_usage ?? false;
      const replyOf = (turnId: string) => new ChatReply(turnId, turn.value.model, includeUsage, Date.now());
      return runTurn(call, turn.value, replyOf, call.body.stream ?? false);
    },
  }),
  route({
    method: 'POST',
    path: '/v1/responses',
    summary: 'One turn of an agent, in the Responses shape; streamed with `stream: true`',
    access: { plane: 'agents', role: 'member' },
    body: responsesRequest,
    bodyBytesMax: LIMITS.chatBodyBytes,
    answer: { status: 200, body: anyObject, media: ['text/event-stream'] },
    async handle(call) {
      const turn = readResponses(call.body, sessionHeader(call));
      if (!turn.ok) return turn;
      const replyOf = (turnId: string) => new ResponsesReply(turnId, call.body, Date.now());
      return runTurn(call, turn.value, replyOf, call.body.stream ?? false);
    },
  }),
  route({
    method: 'GET',
    path: '/v1/models',
    summary: "The tenant's agents, by the names a request may use",
    access: { plane: 'agents', role: 'viewer' },
    answer: { status: 200, body: z.object({ object: z.literal('list'), data: z.array(model) }) },
    async handle(call) {
      const agents: Agent[] = [];
      let cursor: string | undefined;
      do {
        const page = await call.ask(dispatch.queries.agents, { limit: 200, ...(cursor !== undefined && { cursor }) });
        if (!page.ok) return page;
        agents.push(...page.value.items.filter(({ archived }) => !archived));
        cursor = page.value.nextCursor ?? undefined;
      } while (cursor !== undefined && agents.length < AGENTS_LISTED_MAX);
      const main = agents.find(({ agent }) => agent === agentOf('openclaw'));
      const aliases = main ? ALIASES.map((id) => modelOf(id, main)) : [];
      return ok({
        object: 'list' as const,
        data: [...aliases, ...agents.map((agent) => modelOf(`openclaw/${agent.agent}`, agent))],
      });
    },
  }),
  route({
    method: 'GET',
    path: '/v1/models/{id*}',
    summary: 'One agent, by any of its names',
    access: { plane: 'agents', role: 'viewer' },
    params: z.strictObject({ id: z.string() }),
    answer: { status: 200, body: model },
    async handle(call) {
      const agent = agentOf(call.params.id);
      if (agent === null) return NO_SUCH_MODEL;
      const found = await call.ask(dispatch.queries.agent, { agent });
      if (!found.ok) return found.code === 'agent_not_found' ? NO_SUCH_MODEL : found;
      return found.value.archived ? NO_SUCH_MODEL : ok(modelOf(call.params.id, found.value));
    },
  }),
];

const AGENTS_LISTED_MAX = 2_000;

const modelOf = (id: string, { createdAt }: Agent): z.output<typeof model> => ({
  id,
  object: 'model',
  created: Math.floor(Date.parse(createdAt) / 1_000),
  owned_by: 'openclaw',
});
