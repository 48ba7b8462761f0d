import { agentId, PLATFORM, tenantId, uuid } from '@reef/contracts';
import { z } from 'zod';

/** Turns of one process that a message may name: those it runs and those that wait, and some more. */
export const TURNS_ANNOUNCED_MAX = 3_000;

/** What one process hears of another's lanes; core NATS, not stored: what is lost is said again by `announce`. */
export const laneSubject = (worker: string) => `tenant.${PLATFORM}.dispatch.lane.${worker}`;
/** What all processes hear. */
export const lanesSubject = `tenant.${PLATFORM}.dispatch.lanes`;

const tokens = z.number().min(0).max(1e12);
const where = {
  /** `provider/model`; the provider stands for its key. */
  lane: z.string().min(1).max(200),
  /** Of the lease that its owner holds, as the sender knows it. */
  fence: z.int().min(1),
};

const laneTurn = z.strictObject({
  /** Of the permit, not of the turn: a turn may ask twice. */
  id: uuid,
  tenant: tenantId,
  agent: agentId,
  priority: z.literal([0, 1, 2]),
  weight: z.number().positive().max(1e6),
  cost: tokens.min(1),
});
export type LaneTurn = z.output<typeof laneTurn>;

export const laneMessage = z.discriminatedUnion('type', [
  /** To the owner: this turn wants a permit. */
  z.strictObject({ type: z.literal('ask'), ...where, turn: laneTurn }),
  /** To the owner, unanswered: a turn has ended, or waits no longer. */
  z.strictObject({ type: z.literal('end'), ...where, id: uuid, used: tokens.nullable() }),
  /** To the owner, unanswered: what the provider said. */
  z.strictObject({
    type: z.literal('report'),
    ...where,
    report: z.strictObject({
      throttled: z.boolean(),
      retryAfterMs: z.number().min(0).optional(),
      remainingRequests: z.number().min(0).optional(),
      remainingTokens: z.number().min(0).optional(),
      resetAtMs: z.number().min(0).optional(),
    }),
  }),
  /** To the owner: all that the sender runs and has waiting in this lane. */
  z.strictObject({
    type: z.literal('announce'),
    ...where,
    turns: z.array(laneTurn.extend({ isRunning: z.boolean() })).max(TURNS_ANNOUNCED_MAX),
  }),
  /** From the owner, unanswered: these may run. */
  z.strictObject({ type: z.literal('granted'), ...where, ids: z.array(uuid).max(TURNS_ANNOUNCED_MAX) }),
  /** From a new owner to all: it lets nobody run before everybody has announced what they run. */
  z.strictObject({ type: z.literal('owned'), ...where }),
]);
export type LaneMessage = z.output<typeof laneMessage>;

export const laneAnswer = z.discriminatedUnion('status', [
  z.strictObject({ status: z.literal('granted') }),
  z.strictObject({ status: z.literal('waiting') }),
  z.strictObject({ status: z.literal('refused'), retryAfterMs: z.number().min(0) }),
  /** To `announce`: of what is said to wait, these may run. */
  z.strictObject({ status: z.literal('heard'), granted: z.array(uuid).max(TURNS_ANNOUNCED_MAX) }),
  /** The lane is another's, or of another lease. */
  z.strictObject({ status: z.literal('not_owner') }),
]);
export type LaneAnswer = z.output<typeof laneAnswer>;
