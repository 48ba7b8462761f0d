import { z } from 'zod';
import { command, event, query, service } from './declare.js';
import { agentId, emptyObject, endUser, instant, page, pageOf, personal, storedText, uuid } from './values.js';

const memoryText = storedText.trim().min(1).max(4_000);

export const memoryView = z.object({
  memoryId: uuid,
  agent: agentId,
  /** Null: everybody who talks with this agent shares it. */
  user: z.string().nullable(),
  text: z.string(),
  rememberedAt: instant,
});

export const memory = service('memory', {
  commands: {
    /** Keeps a fact about one user, or, without a user, one for everybody who talks with the agent. */
    remember: command({
      input: z.strictObject({
        agent: agentId,
        user: endUser.nullable(),
        text: memoryText,
        turnId: uuid.nullable().default(null),
      }),
      output: memoryView,
      refusals: ['too_many_memories'],
    }),
    forget: command({ input: z.strictObject({ memoryId: uuid }), output: emptyObject, refusals: ['memory_not_found'] }),
  },
  queries: {
    /** The memories nearest to a text among those this user may see: their own and the shared ones, never another user's. */
    recall: query({
      input: z.strictObject({
        agent: agentId,
        user: endUser.nullable(),
        text: z.string().max(200_000),
        limit: z.int().min(1).max(20).default(6),
      }),
      output: z.object({ items: z.array(memoryView) }),
    }),
    memories: query({
      input: z.strictObject({ agent: agentId.optional(), user: endUser.optional(), ...page }),
      output: pageOf(memoryView),
    }),
    /** Whether there is anything to recall: lets a turn skip the question. */
    hasMemories: query({
      input: z.strictObject({ agent: agentId, user: endUser.nullable() }),
      output: z.object({ any: z.boolean() }),
    }),
  },
  events: {
    Remembered: event(
      z.object({
        memoryId: uuid,
        agent: agentId,
        user: endUser.nullable(),
        text: personal(z.string()),
        /** Tells whether a text is remembered already. */
        textHash: personal(z.string()),
        turnId: uuid.nullable(),
        rememberedAt: instant,
      }),
    ),
    Forgotten: event(z.object({ memoryId: uuid, forgottenAt: instant })),
  },
});

/** Core NATS, not stored: a tenant's memories changed. Published before the command's reply. */
export const memoryChanged = {
  subject: (tenant: string) => `tenant.${tenant}.memory.live.changed`,
  pattern: 'tenant.*.memory.live.changed',
};
