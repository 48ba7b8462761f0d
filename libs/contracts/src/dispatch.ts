import { z } from 'zod';
import { rateStanding, turnSource } from './budgets.js';
import { pressure } from './limits.js';
import { command, event, query, service } from './declare.js';
import { modelId, usage } from './pricing.js';
import {
  agentId,
  count,
  displayName,
  emptyObject,
  endUser,
  instant,
  page,
  pageOf,
  personal,
  sessionKey,
  uuid,
} from './values.js';

const messageText = z.string().min(1).max(200_000);
const instructions = z.string().max(20_000);

export const chatMessage = z.strictObject({ role: z.enum(['user', 'assistant']), content: z.string().max(200_000) });

export const agentView = z.object({
  agent: agentId,
  name: z.string(),
  model: modelId,
  instructions: z.string(),
  createdAt: instant,
  archived: z.boolean(),
});

export const turnStatus = z.enum(['queued', 'running', 'completed', 'failed', 'cancelled']);

export const turnView = z.object({
  turnId: uuid,
  agent: agentId,
  session: sessionKey,
  user: z.string().nullable(),
  model: modelId,
  source: turnSource,
  status: turnStatus,
  message: z.string(),
  reply: z.string().nullable(),
  /** Why a failed turn failed. */
  failure: z.object({ code: z.string(), message: z.string() }).nullable(),
  usage: usage.nullable(),
  requestedAt: instant,
  endedAt: instant.nullable(),
});

/** What dispatch streams to the edge while a turn runs: not stored, lost frames end the request with an error. */
export const liveFrame = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text'), seq: count, text: z.string() }),
  z.object({ type: z.literal('tool'), seq: count, name: z.string(), state: z.enum(['called', 'done', 'failed']) }),
  /** The first model call was granted: how near the tenant is to its caps, and what its rates leave. */
  z.object({ type: z.literal('admitted'), seq: count, pressure, rates: z.array(rateStanding) }),
  /** Nothing to say yet, but the turn is alive. */
  z.object({ type: z.literal('alive'), seq: count }),
  z.object({
    type: z.literal('end'),
    seq: count,
    status: z.enum(['completed', 'failed', 'cancelled']),
    finishReason: z.enum(['stop', 'length']).nullable(),
    failure: z
      .object({ code: z.string(), message: z.string(), details: z.record(z.string(), z.unknown()).optional() })
      .nullable(),
    usage: usage.nullable(),
  }),
]);
export type LiveFrame = z.output<typeof liveFrame>;

/** How often a live turn with nothing to say says `alive`, ms; the edge gives a turn up after three times as long. */
export const ALIVE_EVERY_MS = 5_000;

export const liveSubject = (tenant: string, edgeId: string, turnId: string) =>
  `tenant.${tenant}.dispatch.live.${edgeId}.${turnId}`;
/** One subscription for all turns of an edge instance. */
export const livePattern = (edgeId: string) => `tenant.*.dispatch.live.${edgeId}.*`;

const modelCall = z.object({
  callId: uuid,
  model: modelId,
  outcome: z.enum(['completed', 'failed', 'cancelled']),
  usage: usage.nullable(),
  finishReason: z.string().nullable(),
  calledAt: instant,
  durationMs: count,
});
const toolCall = z.object({
  toolCallId: z.string(),
  name: z.string(),
  failed: z.boolean(),
  calledAt: instant,
  durationMs: count,
});
/** What was done for a turn: a turn costs as many messages as it has events, so its end tells it all. */
const work = { calls: z.array(modelCall), tools: z.array(toolCall) };
/** The first version's ends told nothing of calls and tools: each had an event of its own, before the end. */
const toldBefore = { schemaVersion: 2, upcast: { 1: (data: object) => ({ ...data, calls: [], tools: [] }) } };

export const dispatch = service('dispatch', {
  commands: {
    /** Gives a new tenant its default agent `main`; doing it again changes nothing. */
    openTenant: command({ input: emptyObject, output: z.object({ agent: agentId }) }),
    createAgent: command({
      input: z.strictObject({
        agent: agentId,
        name: displayName.optional(),
        model: modelId.optional(),
        instructions: instructions.optional(),
      }),
      output: agentView,
      refusals: ['agent_taken', 'model_unknown'],
    }),
    updateAgent: command({
      input: z.strictObject({
        agent: agentId,
        name: displayName.optional(),
        /** Null: back to the deployment's default. */
        model: modelId.nullable().optional(),
        instructions: instructions.optional(),
      }),
      output: agentView,
      refusals: ['agent_not_found', 'model_unknown'],
    }),
    archiveAgent: command({
      input: z.strictObject({ agent: agentId }),
      output: emptyObject,
      refusals: ['agent_not_found', 'agent_is_default'],
    }),
    /** Accepts a turn; its output follows on `liveSubject`, ending with an `end` frame. */
    startTurn: command({
      input: z.strictObject({
        turnId: uuid,
        agent: agentId,
        /** Names a lasting session. Null: the request is stateless and gets a session of its own. */
        session: sessionKey.nullable(),
        user: endUser.nullable(),
        message: messageText,
        /** The conversation so far, as a stateless client sends it; ignored where the session remembers. */
        history: z.array(chatMessage).max(500),
        /** System messages of the request. */
        instructions: instructions.nullable(),
        source: turnSource,
        keyId: z.string().max(64).nullable(),
        outputTokensMax: count.min(1).max(1_000_000).nullable(),
        edgeId: z.string().regex(/^[A-Za-z0-9]{1,40}$/),
      }),
      output: z.object({ turnId: uuid, agent: agentId, session: sessionKey, model: modelId }),
      refusals: ['agent_not_found', 'session_queue_full', 'session_reserved', 'turn_reused'],
    }),
    cancelTurn: command({
      input: z.strictObject({ turnId: uuid }),
      output: z.object({ status: turnStatus }),
      refusals: ['turn_not_found'],
    }),
  },
  queries: {
    agents: query({ input: z.strictObject({ ...page }), output: pageOf(agentView) }),
    agent: query({ input: z.strictObject({ agent: agentId }), output: agentView, refusals: ['agent_not_found'] }),
    sessions: query({
      input: z.strictObject({ ...page, agent: agentId.optional() }),
      output: pageOf(
        z.object({
          session: sessionKey,
          agent: agentId,
          user: z.string().nullable(),
          turns: count,
          startedAt: instant,
          lastTurnAt: instant,
        }),
      ),
    }),
    /** The newest turns of a session, oldest first. */
    transcript: query({
      input: z.strictObject({ session: sessionKey, ...page }),
      output: z.object({
        session: sessionKey,
        agent: agentId,
        items: z.array(turnView),
        nextCursor: z.string().nullable(),
      }),
      refusals: ['session_not_found'],
    }),
    turn: query({ input: z.strictObject({ turnId: uuid }), output: turnView, refusals: ['turn_not_found'] }),
    asOf: query({ input: z.strictObject({ at: instant }), output: z.object({ agents: z.array(agentView) }) }),
  },
  events: {
    AgentCreated: event(
      z.object({
        agent: agentId,
        name: z.string(),
        /** Null: whatever the deployment's default is when a turn runs. */
        model: modelId.nullable(),
        instructions: personal(z.string()),
        createdAt: instant,
      }),
    ),
    AgentUpdated: event(
      z.object({
        name: z.string().optional(),
        model: modelId.nullable().optional(),
        instructions: personal(z.string().optional()),
        updatedAt: instant,
      }),
    ),
    AgentArchived: event(z.object({ archivedAt: instant })),
    TurnRequested: event(
      z.object({
        turnId: uuid,
        agent: agentId,
        session: sessionKey,
        user: endUser.nullable(),
        message: personal(z.string()),
        model: modelId,
        source: turnSource,
        keyId: z.string().nullable(),
        /** The process that answers for the turn; when it dies, the turn is ended as interrupted. */
        worker: z.string(),
        requestedAt: instant,
        /** Whether it runs at once; else `TurnStarted` says when it does. The first version always left that to `TurnStarted`. */
        startsNow: z.boolean(),
      }),
      { schemaVersion: 2, upcast: { 1: (data) => ({ ...data, startsNow: false }) } },
    ),
    /** A turn that had to wait for its session runs. */
    TurnStarted: event(z.object({ turnId: uuid, worker: z.string(), startedAt: instant })),
    TurnCompleted: event(
      z.object({ turnId: uuid, reply: personal(z.string()), usage: usage.nullable(), completedAt: instant, ...work }),
      toldBefore,
    ),
    TurnFailed: event(
      z.object({ turnId: uuid, code: z.string(), message: z.string(), failedAt: instant, ...work }),
      toldBefore,
    ),
    TurnCancelled: event(z.object({ turnId: uuid, cancelledAt: instant, ...work }), toldBefore),
    /** What had been done for a turn that was ended from outside, told when its engine has stopped. */
    TurnWorked: event(z.object({ turnId: uuid, ...work })),
    /** No longer written: the end of a turn tells its calls. */
    ModelCalled: event(modelCall.extend({ turnId: uuid })),
    /** No longer written: the end of a turn tells its tools. */
    ToolCalled: event(toolCall.extend({ turnId: uuid })),
  },
});
