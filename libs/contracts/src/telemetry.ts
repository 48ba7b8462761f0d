import { z } from 'zod';
import { turnStatus } from './dispatch.js';
import { query, service } from './declare.js';
import { agentId, count, instant, page, pageOf, picoUsd, sessionKey, tenantId, uuid } from './values.js';

export const costGroup = z.enum(['agent', 'user', 'model', 'source', 'day', 'session', 'key']);
const day = z.iso.date();

export const telemetry = service('telemetry', {
  commands: {},
  queries: {
    /** What the tenant's calls cost between two days (UTC, both included), most expensive first. */
    costs: query({
      input: z.strictObject({ from: day.optional(), to: day.optional(), groupBy: costGroup.default('agent') }),
      output: z.object({
        items: z.array(
          z.object({
            key: z.string(),
            costPico: picoUsd,
            calls: count,
            turns: count,
            tokens: z.object({ input: count, cacheRead: count, cacheWrite: count, output: count, reasoning: count }),
          }),
        ),
        totalPico: picoUsd,
      }),
    }),
    /** Under the `platform` context, by an operator: the same by tenant. */
    costsByTenant: query({
      input: z.strictObject({
        from: day.optional(),
        to: day.optional(),
        limit: z.int().min(1).max(1_000).default(100),
      }),
      output: z.object({
        items: z.array(z.object({ tenant: tenantId, costPico: picoUsd, calls: count, turns: count })),
        totalPico: picoUsd,
      }),
    }),
    /** Every state change of the tenant, oldest first; personal fields stay sealed. */
    audit: query({
      input: z.strictObject({ ...page }),
      output: pageOf(
        z.object({
          eventId: uuid,
          service: z.string(),
          type: z.string(),
          stream: z.string(),
          version: count,
          actor: z.string(),
          occurredAt: instant,
          data: z.record(z.string(), z.unknown()),
        }),
      ),
    }),
    /** What the tenant is doing right now. */
    activity: query({
      input: z.strictObject({ recentMax: z.int().min(0).max(100).default(20) }),
      output: z.object({
        turns: z.array(
          z.object({
            turn: uuid,
            agent: agentId,
            user: z.string().nullable(),
            session: sessionKey,
            stage: turnStatus,
            startedAt: instant,
            endedAt: instant.nullable(),
            heldPico: picoUsd,
            spentPico: picoUsd,
          }),
        ),
        queued: count,
        recent: z.array(
          z.object({
            turn: uuid,
            agent: agentId,
            user: z.string().nullable(),
            stage: turnStatus,
            startedAt: instant,
            endedAt: instant.nullable(),
            spentPico: picoUsd,
          }),
        ),
      }),
    }),
  },
  events: {},
});
