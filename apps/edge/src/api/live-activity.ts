import type { NatsConnection } from '@nats-io/transport-node';
import { budgets, dispatch, type Refusal, type Result } from '@reef/contracts';
import { admit } from '../auth/caller.js';
import { credentialOf } from '../auth/credential.js';
import { refused } from '../http/refusals.js';
import { type Call, SENT } from '../http/route.js';
import { LIMITS } from '../limits.js';
import { EventStream } from '../v1/event-stream.js';

/** The projection may be a little behind the event that woke us: one more look when things have gone quiet. */
const SETTLED_AFTER_MS = 1_000;
const HEARTBEAT = Buffer.from(': here\n\n');

/** Sends a snapshot when the tenant's turns or money moved, at most every 250 ms; nothing is polled while nothing happens. */
export async function followActivity(call: Call, look: () => Promise<Result<object>>): Promise<typeof SENT | Refusal> {
  let stream: EventStream | null = null;
  const place = call.edge.turns.takePlace(() => stream?.end());
  if (!place) return refused('overloaded', 'too many streams are open');

  const changes = new Changes(call.edge.nats, call.caller.tenant);
  // The broker must know the subscription before the first look, or a change between the two would go unseen.
  await call.edge.nats.flush();
  const first = await look();
  if (!first.ok) {
    changes.stop();
    place.leave();
    return first;
  }

  const open = (stream = EventStream.open(call.reply));
  const write = (activity: object) => open.write(`event: activity\ndata: ${JSON.stringify(activity)}\n\n`);
  const unlessForbidden = async (work: () => Promise<void>) => {
    if (await stillAllowed(call)) await work();
    else open.end();
  };
  changes.follow(() =>
    unlessForbidden(async () => {
      const activity = await look();
      if (activity.ok) write(activity.value);
    }),
  );
  const heartbeat = setInterval(
    () => void unlessForbidden(async () => void open.write(HEARTBEAT)),
    LIMITS.activityHeartbeatMs,
  );
  const lifetime = setTimeout(() => open.end(), LIMITS.activityStreamMs);
  open.onClose(() => {
    changes.stop();
    clearInterval(heartbeat);
    clearTimeout(lifetime);
    place.leave();
  });
  write(first.value);
  return SENT;
}

/** A stream outlives its first check: a revoked key or a lost role ends it. Identity being away for a moment does not. */
async function stillAllowed({ request, edge, caller }: Call): Promise<boolean> {
  const credential = credentialOf(request);
  if (!credential) return false;
  const known = await edge.authenticator.authenticate(credential.text);
  if (!known.ok) return known.code !== 'unauthenticated';
  return admit(known.value, { plane: 'tenant', role: 'viewer' }, caller.tenant).ok;
}

/** Turns a tenant's events into calls that never overlap and keep their distance. */
class Changes {
  readonly #subscriptions;
  #work: (() => Promise<void>) | null = null;
  #calling = false;
  #calledAtMs = 0;
  #next: NodeJS.Timeout | null = null;
  #settling: NodeJS.Timeout | null = null;

  constructor(nats: NatsConnection, tenant: string) {
    this.#subscriptions = [dispatch, budgets].map(({ service }) =>
      nats.subscribe(`tenant.${tenant}.${service}.evt.>`, {
        callback: (error) => {
          if (!error) this.#changed();
        },
      }),
    );
  }

  follow(work: () => Promise<void>): void {
    this.#work = work;
  }

  stop(): void {
    this.#work = null;
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    if (this.#next) clearTimeout(this.#next);
    if (this.#settling) clearTimeout(this.#settling);
  }

  #changed(): void {
    this.#callIn(Math.max(0, this.#calledAtMs + LIMITS.activityEveryMs - Date.now()));
    if (this.#settling) clearTimeout(this.#settling);
    this.#settling = setTimeout(() => this.#callIn(0), SETTLED_AFTER_MS);
  }

  #callIn(delayMs: number): void {
    this.#next ??= setTimeout(() => void this.#call(), delayMs);
  }

  async #call(): Promise<void> {
    this.#next = null;
    if (!this.#work) return;
    if (this.#calling) return this.#callIn(LIMITS.activityEveryMs);
    this.#calling = true;
    this.#calledAtMs = Date.now();
    try {
      await this.#work();
    } finally {
      this.#calling = false;
    }
  }
}
