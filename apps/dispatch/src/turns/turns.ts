import { type BeforeApplicationShutdown, Inject, Injectable } from '@nestjs/common';
import type { NatsConnection } from '@nats-io/transport-node';
import { dispatch, type InputOf, type ResultOf, type TenantContext } from '@reef/contracts';
import { EventStore } from '@reef/eventing';
import { refuse } from '@reef/eventing/pure';
import { newId, Requests } from '@reef/messaging';
import { InjectLogger, NATS, serviceContext } from '@reef/service';
import type { Logger } from 'pino';
import { setTimeout as sleep } from 'node:timers/promises';
import { sessionAggregate, sessionStream } from '../aggregates.js';
import { historyOf, type SessionCommand } from '../domain/session.js';
import { sessionKeyOf } from '../domain/session-key.js';
import { boundInputTokens } from '../engines/bound.js';
import type { ChatMessage, Engine, TurnInput, TurnOutcome } from '../engines/engine.js';
import { MODEL_CALLS_MAX } from '../engines/native-engine.js';
import { buildPrompt } from '../engines/prompt.js';
import { nativeTools } from '../engines/tools.js';
import { ENGINE, WORKER } from '../tokens.js';
import { type KnownAgent, KnownAgents } from './known-agents.js';
import { LiveStream } from './live-stream.js';
import { Surroundings } from './surroundings.js';
import { TurnContexts } from './turn-contexts.js';
import { NativeTurnHost } from './turn-host.js';
import { TurnSlots } from './turn-slots.js';

type StartTurn = InputOf<typeof dispatch.commands.startTurn>;
type StartTurnResult = ResultOf<typeof dispatch.commands.startTurn>;
type End = Extract<SessionCommand, { type: 'endTurn' }>['data']['end'];
type Failure = { code: string; message: string; details?: Record<string, unknown> };

/** How long a turn may take from its request to its end. */
export const TURN_TIMEOUT_MS = 10 * 60_000;
/** Output of one model call where the request names no limit, tokens. */
const OUTPUT_TOKENS_DEFAULT = 4_096;
/** Of the conversation, a prompt holds so many characters at most. */
const HISTORY_CHARACTERS_MAX = 60_000;
/** How often a turn that waits for its session looks by itself: turns of other instances end unheard, ms. */
const SESSION_POLL_MS = 200;
const END_ATTEMPTS_MAX = 20;
const END_RETRY_MS = 250;
const SHUTDOWN_GRACE_MS = 8_000;
/** A client waits for the books at most this long, ms; the settlement itself is sent again for longer. */
const SETTLE_WAIT_MS = 5_000;

/** A turn in the hands of this process. */
interface RunningTurn {
  readonly context: TenantContext;
  readonly input: StartTurn;
  readonly agent: KnownAgent;
  readonly session: string;
  readonly abort: AbortController;
  readonly live: LiveStream;
  readonly deadlineMs: number;
  readonly done: Promise<void>;
}

interface ToRun {
  readonly turnId: string;
  readonly tenant: string;
  readonly session: string;
  readonly live: LiveStream;
  readonly abort: AbortController;
  readonly host: NativeTurnHost;
  readonly deadlineMs: number;
  readonly prepared: Promise<{ turn: TurnInput | null }>;
  /** Whether it runs at once; else it waits for its session. */
  readonly starts: boolean;
  /** Whether its session has a memory. */
  readonly remembers: boolean;
}

/** Accepts turns and runs them to their end; what was accepted ends in the session's log, whatever happens. */
@Injectable()
export class Turns implements BeforeApplicationShutdown {
  readonly #running = new Map<string, RunningTurn>();
  readonly #slots = new TurnSlots();
  /** Wakes the turns that wait for their session. */
  readonly #sessionWaits = new Map<string, Set<() => void>>();
  #stopping = false;

  constructor(
    private readonly store: EventStore,
    private readonly requests: Requests,
    private readonly contexts: TurnContexts,
    private readonly surroundings: Surroundings,
    private readonly agents: KnownAgents,
    @Inject(NATS) private readonly nats: NatsConnection,
    @Inject(ENGINE) private readonly engine: Engine,
    @Inject(WORKER) private readonly worker: string,
    @InjectLogger() private readonly logger: Logger,
  ) {}

  /** Writes the request down, answers, and runs the turn. While it is written, its first model call is already reserved. */
  async start(input: StartTurn, context: TenantContext): Promise<StartTurnResult> {
    const { tenant } = context;
    if (this.#stopping) return refuse('unavailable', 'this process is stopping');
    if (!this.#slots.hasRoom(tenant)) return refuse('overloaded', 'too many turns are waiting');
    const agent = await this.agents.find(tenant, input.agent);
    if (!agent) return refuse('agent_not_found', 'there is no such agent');
    const session = sessionKeyOf(input.agent, input.session, input.turnId);
    if (!session.ok) return session;

    const isNew = input.session === null;
    const history = isNew ? input.history : await this.#historyOf(tenant, session.key);
    const attempt = newId();
    const turn = this.#prepare(input, context, agent, session.key, history);
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
      turn.drop();
      throw error;
    });
    // A retry is answered with the first attempt's reply; the turn is, or was, that attempt's.
    const isOurs = result.ok && result.value.attempt === attempt;
    if (isOurs) turn.run(result.value.starts);
    else turn.drop();
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
  }

  async #historyOf(tenant: string, key: string): Promise<ChatMessage[]> {
    const { state } = await this.store.load(sessionAggregate, tenant, sessionStream(key), { mayBeStale: true });
    return historyOf(state, HISTORY_CHARACTERS_MAX);
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

  /** Collects the turn's surroundings and reserves its first call, all before anybody knows whether it will run. */
  #prepare(input: StartTurn, context: TenantContext, agent: KnownAgent, session: string, history: ChatMessage[]) {
    const abort = new AbortController();
    const live = new LiveStream(this.nats, context.tenant, input.edgeId, input.turnId);
    const onBehalfOf = () => this.contexts.onBehalfOf(context);
    const { turnId, user, source, keyId } = input;
    const attribution = { turnId, agent: agent.agent, user, session, keyId, model: agent.model, source };
    const host = new NativeTurnHost(this.requests, onBehalfOf, attribution, live);
    const deadlineMs = Date.now() + TURN_TIMEOUT_MS;
    const prepared = this.#slots
      .acquire(context.tenant)
      .then(async () =>
        this.#inputFor(input, context, agent, history, { abort, host, deadlineMs, onBehalfOf: onBehalfOf() }),
      );
    prepared.catch(() => undefined); // Looked at when the turn runs, or dropped.

    return {
      run: (starts: boolean) => {
        const done = this.#run({
          turnId,
          tenant: context.tenant,
          session,
          live,
          abort,
          host,
          deadlineMs,
          prepared,
          starts,
          remembers: input.session !== null,
        })
          .catch((error: unknown) => {
            this.logger.error({ err: error, turn: turnId }, 'a turn could not be ended');
            const broken = { code: 'internal', message: 'something went wrong on our side' };
            live.end({ status: 'failed', finishReason: null, failure: broken, usage: null });
          })
          .finally(() => {
            this.#slots.release();
            this.#running.delete(turnId);
          });
        this.#running.set(turnId, { context, input, agent, session, abort, live, deadlineMs, done });
      },
      drop: () => {
        live.discard();
        void prepared
          .then(async ({ turn }) => {
            const answer = await turn?.firstReservation?.answer;
            const callId = turn?.firstReservation?.callId;
            if (answer?.ok && callId) await host.giveBack(callId);
          })
          .catch(() => undefined)
          .finally(() => this.#slots.release());
      },
    };
  }

  async #inputFor(
    input: StartTurn,
    context: TenantContext,
    agent: KnownAgent,
    history: ChatMessage[],
    parts: {
      abort: AbortController;
      host: NativeTurnHost;
      deadlineMs: number;
      onBehalfOf: ReturnType<TurnContexts['onBehalfOf']>;
    },
  ): Promise<{ turn: TurnInput | null }> {
    const { abort, host, deadlineMs, onBehalfOf } = parts;
    const [files, memories] = await Promise.all([
      this.surroundings.filesOf(onBehalfOf, agent.agent, input.user),
      this.surroundings.recall(onBehalfOf, agent.agent, input.user, input.message),
    ]);
    if (!files) return { turn: null };
    const system = buildPrompt({
      agent: { id: agent.agent, name: agent.name, instructions: agent.instructions },
      ...files,
      isPrivate: input.user !== null,
      memories,
      requestInstructions: input.instructions,
      now: new Date(),
      timeZone: 'UTC',
      channel: input.source === 'chat' ? 'http' : input.source,
      model: agent.model,
    });
    const outputTokensMax = input.outputTokensMax ?? OUTPUT_TOKENS_DEFAULT;
    const callId = newId();
    const inputTokensMax = boundInputTokens(system, history, input.message, nativeTools);
    const turn: TurnInput = {
      tenant: context.tenant,
      turnId: input.turnId,
      agent: agent.agent,
      model: agent.model,
      system,
      history,
      message: input.message,
      tools: nativeTools,
      outputTokensMax,
      modelCallsMax: MODEL_CALLS_MAX,
      signal: abort.signal,
      deadlineMs,
      firstReservation: {
        callId,
        answer: host.reserve({ callId, model: agent.model, inputTokensMax, outputTokensMax }),
      },
    };
    turn.firstReservation?.answer.catch(() => undefined);
    return { turn };
  }

  async #run(turn: ToRun): Promise<void> {
    const { host, live } = turn;
    const timer = setTimeout(() => turn.abort.abort('deadline_exceeded'), turn.deadlineMs - Date.now());
    let outcome: TurnOutcome;
    try {
      const { turn: input } = await turn.prepared;
      if (!input) outcome = failure('workspace_unavailable', 'the files of the agent could not be read');
      else {
        // What was reserved is for the conversation as it was, and for now: it would hold money while the turn waits.
        const ready = turn.starts ? input : await this.#withoutReservation(host, input);
        const wait = turn.starts ? 'begun' : await this.#awaitTurn(turn);
        if (wait === 'begun') outcome = await this.engine.run(await this.#upToDate(turn, ready), host);
        else if (wait === 'late') outcome = failure('deadline_exceeded', 'the session stayed busy');
        else outcome = { status: 'cancelled', text: '', usage: undefined };
      }
    } catch (error) {
      this.logger.error({ err: error, turn: turn.turnId }, 'a turn met a bug');
      outcome = failure('internal', 'something went wrong on our side');
    } finally {
      clearTimeout(timer);
    }
    const { reason } = turn.abort.signal;
    if (outcome.status === 'cancelled' && reason === 'interrupted')
      outcome = failure('interrupted', 'the process that ran the turn ended');
    if (outcome.status === 'cancelled' && reason === 'deadline_exceeded')
      outcome = failure('deadline_exceeded', 'the turn took longer than it may');
    await this.#end(turn, outcome);
    const usage = outcome.usage ?? null;
    live.end({
      status: outcome.status,
      finishReason: outcome.status === 'completed' ? outcome.finishReason : null,
      failure: outcome.status === 'failed' ? failureOf(outcome) : null,
      usage,
    });
    this.#wake(turn.tenant, turn.session);
  }

  /** Waits until this turn is first in its session, unless it is over, or its time is, before that. */
  async #awaitTurn({
    turnId,
    tenant,
    session,
    abort,
    deadlineMs,
  }: {
    turnId: string;
    tenant: string;
    session: string;
    abort: AbortController;
    deadlineMs: number;
  }): Promise<'begun' | 'over' | 'late'> {
    while (!abort.signal.aborted && Date.now() < deadlineMs) {
      const begun = await this.store.execute(sessionAggregate, {
        tenant,
        stream: sessionStream(session),
        command: { type: 'beginTurn', data: { turnId, worker: this.worker, startedAt: new Date().toISOString() } },
        context: serviceContext(tenant, 'dispatch'),
      });
      if (begun.ok) return 'begun';
      if (begun.code === 'turn_not_found') return 'over';
      await this.#sessionChange(tenant, session);
    }
    return abort.signal.aborted ? 'over' : 'late';
  }

  /**
   * The conversation as the commit that let this turn begin found it: turns that this one waited for, or that another instance
   * ran, are part of it by now.
   */
  async #upToDate({ tenant, session, host, remembers }: ToRun, input: TurnInput): Promise<TurnInput> {
    if (!remembers) return input;
    const history = await this.#historyOf(tenant, session);
    const isKnown =
      history.length === input.history.length &&
      history.every(({ content }, index) => content === input.history[index]?.content);
    return isKnown ? input : { ...(await this.#withoutReservation(host, input)), history };
  }

  /** Gives back what the turn reserved at its request; its engine reserves anew. */
  async #withoutReservation(host: NativeTurnHost, { firstReservation, ...input }: TurnInput): Promise<TurnInput> {
    const answer = await firstReservation?.answer;
    if (firstReservation && answer?.ok) await host.giveBack(firstReservation.callId);
    return input;
  }

  /** The turn's end and its calls' settlements, side by side; both are durable when this returns. */
  async #end(
    { turnId, tenant, session, host }: { turnId: string; tenant: string; session: string; host: NativeTurnHost },
    outcome: TurnOutcome,
  ): Promise<void> {
    const at = new Date().toISOString();
    const end = () =>
      this.store.execute(sessionAggregate, {
        tenant,
        stream: sessionStream(session),
        command: { type: 'endTurn', data: { turnId, calls: host.calls, tools: host.tools, end: endOf(outcome, at) } },
        context: serviceContext(tenant, 'dispatch', `end:${turnId}`),
      });
    const settled = Promise.race([host.settled(), sleep(SETTLE_WAIT_MS, undefined, { ref: false })]);
    let ended = await end();
    // The store refuses an end only when it is overrun; a turn without an end would block its session.
    for (let attempt = 2; !ended.ok && attempt <= END_ATTEMPTS_MAX; attempt++) {
      await sleep(END_RETRY_MS);
      ended = await end();
    }
    await settled;
    if (!ended.ok) this.logger.error({ code: ended.code, turn: turnId }, 'the end of a turn was refused');
  }

  #sessionChange(tenant: string, session: string): Promise<void> {
    const key = `${tenant} ${session}`;
    return new Promise((resolve) => {
      const waits = this.#sessionWaits.get(key) ?? new Set();
      this.#sessionWaits.set(key, waits);
      const wake = () => {
        clearTimeout(timer);
        waits.delete(wake);
        if (waits.size === 0) this.#sessionWaits.delete(key);
        resolve();
      };
      const timer = setTimeout(wake, SESSION_POLL_MS);
      waits.add(wake);
    });
  }

  #wake(tenant: string, session: string): void {
    for (const wake of this.#sessionWaits.get(`${tenant} ${session}`) ?? []) wake();
  }
}

function failure(code: string, message: string): TurnOutcome {
  return { status: 'failed', code, message, text: '', usage: undefined };
}

function failureOf({ code, message, details }: Extract<TurnOutcome, { status: 'failed' }>): Failure {
  const named = typeof details === 'object' && details !== null ? (details as Record<string, unknown>) : undefined;
  return { code, message, ...(named && { details: named }) };
}

function endOf(outcome: TurnOutcome, at: string): End {
  switch (outcome.status) {
    case 'completed':
      return { status: 'completed', reply: outcome.text, usage: outcome.usage ?? null, at };
    case 'failed':
      return { status: 'failed', code: outcome.code, message: outcome.message, at };
    case 'cancelled':
      return { status: 'cancelled', at };
  }
}
