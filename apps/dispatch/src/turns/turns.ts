import { type BeforeApplicationShutdown, Inject, Injectable } from '@nestjs/common';
import type { NatsConnection } from '@nats-io/transport-node';
import type { dispatch, ResultOf, TenantContext } from '@reef/contracts';
import { EventStore } from '@reef/eventing';
import { refuse } from '@reef/eventing/pure';
import { newId, Requests } from '@reef/messaging';
import { InjectLogger, NATS } from '@reef/service';
import type { Logger } from 'pino';
import { setTimeout as sleep } from 'node:timers/promises';
import { sessionAggregate, sessionStream } from '../aggregates.js';
import { sessionKeyOf } from '../domain/session-key.js';
import { Lanes } from '../lanes/lanes.js';
import { TenantWeights } from '../lanes/tenant-weights.js';
import { WORKER } from '../tokens.js';
import { type AcceptedTurn, permitRequestOf, type StartTurn, TURN_TIMEOUT_MS } from './accepted-turn.js';
import { type KnownAgent, KnownAgents } from './known-agents.js';
import { LanedTurnHost } from './laned-turn-host.js';
import { LiveStream } from './live-stream.js';
import { OpenCalls } from './open-calls.js';
import { SessionOrder } from './session-order.js';
import { TurnContexts } from './turn-contexts.js';
import { TurnInputs } from './turn-inputs.js';
import { type Prepared, TurnRuns } from './turn-runs.js';
import { type TurnSlot, TurnSlots } from './turn-slots.js';

type StartTurnResult = ResultOf<typeof dispatch.commands.startTurn>;

const SHUTDOWN_GRACE_MS = 8_000;
/** When this process has no room, another one may, ms. */
const NO_ROOM_RETRY_MS = 1_000;

/** Accepts turns; what was accepted ends in the session's log, whatever happens. */
@Injectable()
export class Turns implements BeforeApplicationShutdown {
  readonly #running = new Map<string, { readonly abort: AbortController; readonly done: Promise<void> }>();
  readonly #slots = new TurnSlots();
  #stopping = false;

  constructor(
    private readonly store: EventStore,
    private readonly requests: Requests,
    private readonly contexts: TurnContexts,
    private readonly agents: KnownAgents,
    private readonly sessions: SessionOrder,
    private readonly lanes: Lanes,
    private readonly weights: TenantWeights,
    private readonly inputs: TurnInputs,
    private readonly runs: TurnRuns,
    private readonly openCalls: OpenCalls,
    @Inject(NATS) private readonly nats: NatsConnection,
    @Inject(WORKER) private readonly worker: string,
    @InjectLogger() private readonly logger: Logger,
  ) {}

  /** Writes the request down, answers, and runs the turn. While it is written, its first model call is already reserved. */
  async start(input: StartTurn, context: TenantContext): Promise<StartTurnResult> {
    const { tenant } = context;
    if (this.#stopping) return refuse('unavailable', 'this process is stopping');
    const agent = await this.agents.find(tenant, input.agent);
    if (!agent) return refuse('agent_not_found', 'there is no such agent');
    const session = sessionKeyOf(input.agent, input.session, input.turnId);
    if (!session.ok) return session;
    const isNew = input.session === null;
    const { history, isBusy } = isNew
      ? { history: input.history, isBusy: false }
      : await this.sessions.now(tenant, session.key);

    const slot = this.#slots.admit(tenant);
    if (!slot) return overloaded(NO_ROOM_RETRY_MS);
    // A turn that waits for its session holds no permit, so it asks when its session lets it begin.
    const permit = isBusy ? null : this.lanes.ask(permitRequestOf(input, tenant, agent, this.weights.of(tenant)));
    if (permit && 'retryAfterMs' in permit) {
      slot.release();
      return overloaded(permit.retryAfterMs);
    }
    const attempt = newId();
    const turn = this.#accept(input, context, agent, session.key, slot);
    const waits = isBusy || permit?.mustWait === true;
    const prepared: Prepared = { permit, input: waits ? null : this.inputs.make(turn, history) };
    prepared.input?.catch(() => undefined); // Looked at when the turn runs, or dropped.
    const requested = this.store.execute(sessionAggregate, {
      tenant,
      stream: sessionStream(session.key),
      isNew,
      command: { type: 'requestTurn', data: this.#requested(input, agent, session.key) },
      context,
      reply: (state) => ({
        attempt,
        starts: state.turns.get(input.turnId)?.status === 'running',
        accepted: { turnId: input.turnId, agent: agent.agent, session: session.key, model: agent.model },
      }),
    });
    const result = await requested.catch((error: unknown) => {
      this.runs.drop(turn, prepared);
      throw error;
    });
    // A retry is answered with the first attempt's reply; the turn is, or was, that attempt's.
    const isOurs = result.ok && result.value.attempt === attempt;
    if (isOurs) this.#run(turn, prepared, result.value.starts);
    else this.runs.drop(turn, prepared);
    return result.ok ? { ok: true, value: result.value.accepted } : (result as StartTurnResult);
  }

  /** Stops a turn of this process; what it used so far is settled. */
  abort(turnId: string): void {
    this.#running.get(turnId)?.abort.abort();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.#stopping = true;
    const ends = [...this.#running.values()].map(({ done }) => done);
    await Promise.race([Promise.allSettled(ends), sleep(SHUTDOWN_GRACE_MS, undefined, { ref: false })]);
    for (const { abort } of this.#running.values()) abort.abort('interrupted');
    await Promise.race([Promise.allSettled(ends), sleep(SHUTDOWN_GRACE_MS, undefined, { ref: false })]);
    // A database that is away now lets others wait until the leases end; that is no reason not to stop.
    await this.lanes.leave().catch((error: unknown) => this.logger.warn({ err: error }, 'lanes were not handed over'));
  }

  #accept(input: StartTurn, context: TenantContext, agent: KnownAgent, session: string, slot: TurnSlot): AcceptedTurn {
    const { turnId, user, source, keyId, edgeId } = input;
    const abort = new AbortController();
    const live = new LiveStream(this.nats, context.tenant, edgeId, turnId);
    live.hold();
    const attribution = { turnId, agent: agent.agent, user, session, keyId, model: agent.model, source };
    const deadlineMs = Date.now() + TURN_TIMEOUT_MS;
    const host = new LanedTurnHost(
      this.requests,
      () => this.contexts.onBehalfOf(context),
      attribution,
      live,
      this.openCalls,
      { signal: abort.signal, deadlineMs },
      ({ weight }) => this.weights.set(context.tenant, weight),
    );
    return { input, context, agent, session, host, live, slot, abort, deadlineMs };
  }

  #run(turn: AcceptedTurn, prepared: Prepared, starts: boolean): void {
    const { turnId } = turn.input;
    turn.live.begin();
    const done = this.runs
      .run(turn, prepared, starts)
      .catch((error: unknown) => {
        this.logger.error({ err: error, turn: turnId }, 'a turn could not be ended');
        const broken = { code: 'internal', message: 'something went wrong on our side' };
        turn.live.end({ status: 'failed', finishReason: null, failure: broken, usage: null });
      })
      .finally(() => {
        turn.slot.release();
        this.#running.delete(turnId);
      });
    this.#running.set(turnId, { abort: turn.abort, done });
  }

  #requested(input: StartTurn, agent: KnownAgent, session: string) {
    const { turnId, user, message, source, keyId } = input;
    const requestedAt = new Date().toISOString();
    return {
      turnId,
      agent: agent.agent,
      session,
      user,
      message,
      model: agent.model,
      source,
      keyId,
      worker: this.worker,
      requestedAt,
    };
  }
}

const overloaded = (retryAfterMs: number) =>
  refuse('overloaded', 'too many turns are waiting', { retryAfterMs: Math.ceil(retryAfterMs) });
