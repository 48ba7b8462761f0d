import { type OutputOf, type Result, telemetry } from '@reef/contracts';
import { z } from 'zod';
import type { Identity } from '../auth/contexts.js';
import { andThen, type Call, route } from '../http/route.js';
import { usdOf } from '../money.js';
import { followActivity } from './live-activity.js';

const turn = z.object({
  turn: z.string(),
  agent: z.string(),
  user: z.string().nullable(),
  stage: z.string(),
  startedAt: z.string(),
  elapsedMs: z.int(),
  spentUsd: z.string(),
});
export const activityView = z.object({
  turns: z.array(turn.extend({ session: z.string(), heldUsd: z.string() })),
  queued: z.int(),
  recent: z.array(turn),
});
type Activity = z.output<typeof activityView>;

export const activityRoutes = [
  route({
    method: 'GET',
    path: '/api/tenants/{tenant}/activity',
    summary: 'What the tenant is doing right now; with `Accept: text/event-stream` a snapshot after every change',
    access: { plane: 'tenant', role: 'viewer' },
    answer: { status: 200, body: activityView, media: ['text/event-stream'] },
    handle: async (call) => {
      const look = () => activityOf(call, call.caller);
      return call.request.headers.accept?.includes('text/event-stream') ? followActivity(call, look) : look();
    },
  }),
];

export async function activityOf(call: Call, as: Identity): Promise<Result<Activity>> {
  return andThen(await call.ask(telemetry.queries.activity, { recentMax: 20 }, { as }), activityToHttp);
}

export function activityToHttp({ turns, queued, recent }: OutputOf<typeof telemetry.queries.activity>): Activity {
  const nowMs = Date.now();
  const elapsedMs = ({ startedAt, endedAt }: { startedAt: string; endedAt: string | null }) =>
    Math.max(0, (endedAt ? Date.parse(endedAt) : nowMs) - Date.parse(startedAt));
  return {
    turns: turns.map(({ heldPico, spentPico, endedAt, ...rest }) => ({
      ...rest,
      elapsedMs: elapsedMs({ ...rest, endedAt }),
      heldUsd: usdOf(heldPico),
      spentUsd: usdOf(spentPico),
    })),
    queued,
    recent: recent.map(({ spentPico, endedAt, ...rest }) => ({
      ...rest,
      elapsedMs: elapsedMs({ ...rest, endedAt }),
      spentUsd: usdOf(spentPico),
    })),
  };
}
