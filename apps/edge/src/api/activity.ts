import { budgets, dispatch, type OutputOf, type Result, telemetry } from '@reef/contracts';
import { z } from 'zod';
import type { Identity } from '../auth/contexts.js';
import { admit } from '../auth/caller.js';
import { credentialOf } from '../auth/credential.js';
import { refused } from '../http/refusals.js';
import { andThen, type Call, route, SENT } from '../http/route.js';
import { LIMITS } from '../limits.js';
import { usdOf } from '../money.js';
import { EventStream } from '../v1/event-stream.js';

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

/** The projection may be a little behind the event that woke us: one more look when things have gone quiet. */
const SETTLED_AFTER_MS = 1_000;
const HEARTBEAT = Buffer.from(': here\n\n');

export const activityRoutes = [
  route({
    method: 'GET',
    path: '/api/tenants/{tenant}/activity',
    summary: 'What the tenant is doing right now; with `Accept: text/event-stream` a snapshot after every change',
    access: { plane: 'tenant', role: 'viewer' },
    answer: { status: 200, body: activityView, media: ['text/event-stream'] },
    handle: async (call) => {
      const first = await activityOf(call, call.caller);
      if (!first.ok || !call.request.headers.accept?.includes('text/event-stream')) return first;
      return follow(call, first.value);
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

/** Sends a snapshot when the tenant's turns or money moved, at most every 250 ms; nothing is polled while nothing happens. */
async function follow(call: Call, first: Activity): Promise<typeof SENT | Result<Activity>> {
  const { nats, authenticator, turns } = call.edge;
  const place = turns.takePlace(() => stream.end());
  if (!place) return refused('overloaded', 'too many streams are open');
  const stream = EventStream.open(call.reply);
  const write = (activity: Activity) => stream.write(`event: activity\ndata: ${JSON.stringify(activity)}\n\n`);

  let timer: NodeJS.Timeout | null = null;
  let sentAtMs = Date.now();
  let looking = false;
  const lookIn = (delayMs: number) => {
    timer ??= setTimeout(() => void look(), delayMs);
  };
  const look = async () => {
    timer = null;
    if (stream.closed) return;
    if (looking) return lookIn(LIMITS.activityEveryMs);
    looking = true;
    sentAtMs = Date.now();
    const activity = (await stillAllowed()) ? await activityOf(call, call.caller) : null;
    looking = false;
    if (activity === null) stream.end();
    else if (activity.ok) write(activity.value);
  };
  const stillAllowed = async () => {
    const credential = credentialOf(call.request);
    const known = credential && (await authenticator.authenticate(credential.text));
    // Identity being away for a moment is not a "no".
    if (known && !known.ok) return known.code !== 'unauthenticated';
    return known ? admit(known.value, { plane: 'tenant', role: 'viewer' }, call.caller.tenant).ok : false;
  };

  let settling: NodeJS.Timeout | null = null;
  const subscriptions = [dispatch, budgets].map(({ service }) =>
    nats.subscribe(`tenant.${call.caller.tenant}.${service}.evt.>`, {
      callback: (error) => {
        if (error) return;
        lookIn(Math.max(0, sentAtMs + LIMITS.activityEveryMs - Date.now()));
        if (settling) clearTimeout(settling);
        settling = setTimeout(() => lookIn(0), SETTLED_AFTER_MS);
      },
    }),
  );
  const beat = async () => {
    if (await stillAllowed()) stream.write(HEARTBEAT);
    else stream.end();
  };
  const heartbeat = setInterval(() => void beat(), LIMITS.activityHeartbeatMs);
  const lifetime = setTimeout(() => stream.end(), LIMITS.activityStreamMs);
  stream.onClose(() => {
    for (const subscription of subscriptions) subscription.unsubscribe();
    if (timer) clearTimeout(timer);
    if (settling) clearTimeout(settling);
    clearInterval(heartbeat);
    clearTimeout(lifetime);
    place.leave();
  });
  write(first);
  return SENT;
}
