import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';
import { EventStore } from '@reef/eventing';
import { InjectLogger, outboundUrl, type OutboundOutcome, Periodic, post } from '@reef/service';
import type { Logger } from 'pino';
import { verdictOf } from './attempts.js';
import { Deliveries, type Taken } from './deliveries.js';
import { type Endpoint, secretsOf } from './endpoints.js';
import { webhookPolicy } from './policy.js';
import { signedHeaders } from './signing.js';
import { webhookEndpoints, WEBHOOKS } from './stream.js';

const LOOK_EVERY_MS = 1_000;
const PRUNE_EVERY_MS = 10 * 60_000;
const ATTEMPT_TIMEOUT_MS = 10_000;
/** An endpoint's answer is its status; what it says beside is read to no more than this, and thrown away. */
const ANSWER_BYTES_MAX = 64 * 1_024;
const CALLS_MAX = 32;
/** So that a tenant whose endpoints hang does not take all places. */
const CALLS_OF_TENANT_MAX = 4;

/** Sends what is due: at once when told of something new, and every second for what is tried again. */
@Injectable()
export class WebhookSender implements BeforeApplicationShutdown {
  readonly #policy = webhookPolicy();
  readonly #stopping = new AbortController();
  readonly #calls = new Set<Promise<void>>();
  #looking: Promise<void> | null = null;
  #lookAgain = false;

  constructor(
    periodic: Periodic,
    private readonly deliveries: Deliveries,
    private readonly store: EventStore,
    @InjectLogger() private readonly logger: Logger,
  ) {
    periodic.every(LOOK_EVERY_MS, 'send webhooks', () => this.#look());
    periodic.every(PRUNE_EVERY_MS, 'forget old webhook deliveries', () => deliveries.prune());
  }

  /** There may be something to send; nobody waits for it. */
  nudge(): void {
    // What is missed here is seen by the periodic look, which also logs.
    this.#look().catch(() => undefined);
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.#stopping.abort();
    await this.#looking?.catch(() => undefined);
    await Promise.allSettled(this.#calls);
  }

  /** One look at a time; who asks during one gets another after it. */
  #look(): Promise<void> {
    if (this.#looking) this.#lookAgain = true;
    this.#looking ??= this.#takeAndSend().finally(() => {
      this.#looking = null;
      if (!this.#lookAgain) return;
      this.#lookAgain = false;
      this.nudge();
    });
    return this.#looking;
  }

  async #takeAndSend(): Promise<void> {
    const room = CALLS_MAX - this.#calls.size;
    if (room <= 0 || this.#stopping.signal.aborted) return;
    for (const taken of await this.deliveries.take(room, CALLS_OF_TENANT_MAX)) {
      const call = this.#attempt(taken)
        .catch((error: unknown) =>
          this.logger.warn({ err: error, ...idsOf(taken) }, 'an attempt could not be noted; it is made again'),
        )
        .finally(() => {
          this.#calls.delete(call);
          this.nudge(); // A place is free.
        });
      this.#calls.add(call);
    }
  }

  async #attempt(taken: Taken): Promise<void> {
    const { state } = await this.store.load(webhookEndpoints, taken.tenant, WEBHOOKS);
    const endpoint = state.get(taken.webhookId);
    if (!endpoint) return this.deliveries.forgetEndpoint(taken.tenant, taken.webhookId);
    const outcome = await this.#call(taken, endpoint);
    if ('failure' in outcome && outcome.failure === 'aborted') return this.deliveries.giveBack(taken);
    const verdict = verdictOf(taken.type, taken.attempt, outcome, Math.random());
    await this.deliveries.note(taken, outcome, verdict);
    if (verdict.status === 'failed')
      this.logger.warn({ ...idsOf(taken), attempts: taken.attempt, ...outcome }, 'a webhook was given up');
  }

  async #call({ messageId, body }: Taken, endpoint: Endpoint): Promise<OutboundOutcome> {
    const url = outboundUrl(endpoint.url, this.#policy);
    if (!url) return { failure: 'address_refused' };
    const nowMs = Date.now();
    return post({
      url,
      headers: {
        'content-type': 'application/json',
        'user-agent': 'Reef-Webhooks/1',
        ...signedHeaders(messageId, nowMs, body, secretsOf(endpoint, nowMs)),
      },
      body,
      timeoutMs: ATTEMPT_TIMEOUT_MS,
      answerBytesMax: ANSWER_BYTES_MAX,
      signal: this.#stopping.signal,
      ...this.#policy,
    });
  }
}

const idsOf = ({ tenant, webhookId, messageId }: Taken) => ({ tenant, webhookId, messageId });
