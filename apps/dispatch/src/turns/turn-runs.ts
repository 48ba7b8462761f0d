import { Inject, Injectable } from '@nestjs/common';
import { EventStore } from '@reef/eventing';
import { InjectLogger, serviceContext } from '@reef/service';
import type { Logger } from 'pino';
import { setTimeout as sleep } from 'node:timers/promises';
import { sessionAggregate, sessionStream } from '../aggregates.js';
import type { SessionCommand } from '../domain/session.js';
import type { Engine, TurnInput, TurnOutcome } from '../engines/engine.js';
import { Lanes } from '../lanes/lanes.js';
import type { Permit } from '../lanes/permit.js';
import { TenantWeights } from '../lanes/tenant-weights.js';
import { ENGINE } from '../tokens.js';
import { type AcceptedTurn, permitRequestOf } from './accepted-turn.js';
import { SessionOrder } from './session-order.js';
import { TurnInputs } from './turn-inputs.js';

type End = Extract<SessionCommand, { type: 'endTurn' }>['data']['end'];
type Failure = { code: string; message: string; details?: Record<string, unknown> };

/** What was reserved is given back when the permit takes longer than this, ms: waiting holds no money. */
const PERMIT_SOON_MS = 25;
const END_ATTEMPTS_MAX = 20;
const END_RETRY_MS = 250;
/** A client waits for the books at most this long, ms; the settlement itself is sent again for longer. */
const SETTLE_WAIT_MS = 5_000;

/** What was done for a turn while its request was written. */
export interface Prepared {
  /** Null: its session seemed busy, so it asked for none. */
  readonly permit: Permit | null;
  /** Null: it has to wait, and what it needs is read when it runs. */
  readonly input: Promise<TurnInput | null> | null;
}

type Stop = { readonly stop: TurnOutcome };

/** Runs accepted turns to their end: the session's turn first, then a permit of the lane, then the engine. */
@Injectable()
export class TurnRuns {
  constructor(
    private readonly store: EventStore,
    private readonly sessions: SessionOrder,
    private readonly inputs: TurnInputs,
    private readonly lanes: Lanes,
    private readonly weights: TenantWeights,
    @Inject(ENGINE) private readonly engine: Engine,
    @InjectLogger() private readonly logger: Logger,
  ) {}

  /** @param starts whether it is first in its session; else it waits for that, without a permit. */
  async run(turn: AcceptedTurn, prepared: Prepared, starts: boolean): Promise<void> {
    const { host, live, abort, slot, input } = turn;
    const timer = setTimeout(() => abort.abort('deadline_exceeded'), turn.deadlineMs - Date.now());
    let permit: Permit | null = null;
    let outcome: TurnOutcome;
    try {
      const turnCame = starts ? prepared : await this.#awaitSession(turn, prepared);
      const ready =
        'stop' in turnCame ? turnCame : await this.#awaitPermit(turn, turnCame, (asked) => (permit = asked));
      if ('stop' in ready) outcome = ready.stop;
      else {
        await slot.run();
        const made = await ready.input;
        if (!made) outcome = failure('workspace_unavailable', 'the files of the agent could not be read');
        else outcome = await this.engine.run(await this.#upToDate(turn, made), host);
      }
    } catch (error) {
      this.logger.error({ err: error, turn: input.turnId }, 'a turn met a bug');
      outcome = failure('internal', 'something went wrong on our side');
    } finally {
      clearTimeout(timer);
      (permit as Permit | null)?.end(host.usedTokens);
    }
    const { reason } = abort.signal;
    if (outcome.status === 'cancelled' && reason === 'interrupted')
      outcome = failure('interrupted', 'the process that ran the turn ended');
    if (outcome.status === 'cancelled' && reason === 'deadline_exceeded')
      outcome = failure('deadline_exceeded', 'the turn took longer than it may');
    await this.#end(turn, outcome);
    live.end({
      status: outcome.status,
      finishReason: outcome.status === 'completed' ? outcome.finishReason : null,
      failure: outcome.status === 'failed' ? failureOf(outcome) : null,
      usage: outcome.usage ?? null,
    });
    this.sessions.wake(turn.context.tenant, turn.session);
  }

  /** As if the turn had never been prepared. */
  drop(turn: AcceptedTurn, { permit, input }: Prepared): void {
    permit?.end(0);
    turn.live.discard();
    turn.slot.release();
    if (input) void this.inputs.giveBack(turn, input).catch(() => undefined);
  }

  /** What was reserved is for the conversation as it was, and a permit is for those that can run. */
  async #awaitSession(turn: AcceptedTurn, { permit, input }: Prepared): Promise<Prepared | Stop> {
    permit?.end(0);
    if (input) await this.inputs.giveBack(turn, input);
    const { input: asked, context, session, deadlineMs, abort } = turn;
    const { turnId } = asked;
    const wait = await this.sessions.awaitTurn({ turnId, tenant: context.tenant, session, deadlineMs }, abort.signal);
    if (wait === 'begun') return { permit: null, input: null };
    if (wait === 'late') return { stop: failure('deadline_exceeded', 'the session stayed busy') };
    return { stop: CANCELLED };
  }

  async #awaitPermit(
    turn: AcceptedTurn,
    prepared: Prepared,
    holds: (permit: Permit) => void,
  ): Promise<{ readonly input: Promise<TurnInput | null> } | Stop> {
    const { input: asked, context, agent, abort, host } = turn;
    const { tenant } = context;
    const permit = prepared.permit ?? this.lanes.ask(permitRequestOf(asked, tenant, agent, this.weights.of(tenant)));
    if ('retryAfterMs' in permit) return { stop: overloaded(permit.retryAfterMs) };
    holds(permit);
    host.runsUnder(permit);
    let input = prepared.input;
    if (!permit.isGranted) {
      const leave = () => permit.end(0);
      abort.signal.addEventListener('abort', leave, { once: true });
      if (abort.signal.aborted) leave();
      if (input && !(await isSoon(permit.decided))) {
        await this.inputs.giveBack(turn, input);
        input = null;
      }
      const decided = await permit.decided;
      abort.signal.removeEventListener('abort', leave);
      if (decided.status !== 'granted') {
        if (input) await this.inputs.giveBack(turn, input);
        return { stop: decided.status === 'refused' ? overloaded(decided.retryAfterMs) : CANCELLED };
      }
    }
    return { input: input ?? this.#makeInput(turn) };
  }

  async #makeInput(turn: AcceptedTurn): Promise<TurnInput | null> {
    const { input, context, session } = turn;
    const remembers = input.session !== null;
    const { history } = remembers ? await this.sessions.now(context.tenant, session) : input;
    return this.inputs.make(turn, history);
  }

  /**
   * The conversation as the commit that let this turn begin found it: turns that this one waited for, or that another instance
   * ran, are part of it by now.
   */
  async #upToDate(turn: AcceptedTurn, made: TurnInput): Promise<TurnInput> {
    if (turn.input.session === null) return made;
    const { history } = await this.sessions.now(turn.context.tenant, turn.session);
    const isKnown =
      history.length === made.history.length &&
      history.every(({ content }, index) => content === made.history[index]?.content);
    if (isKnown) return made;
    await this.inputs.giveBack(turn, Promise.resolve(made));
    const { firstReservation: _, ...input } = made;
    return { ...input, history };
  }

  /** The turn's end and its calls' settlements, side by side; both are durable when this returns. */
  async #end({ input: { turnId }, context, session, host }: AcceptedTurn, outcome: TurnOutcome): Promise<void> {
    const { tenant } = context;
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
}

const CANCELLED: TurnOutcome = { status: 'cancelled', text: '', usage: undefined };

function failure(code: string, message: string, details?: Record<string, unknown>): TurnOutcome {
  return { status: 'failed', code, message, ...(details && { details }), text: '', usage: undefined };
}

const overloaded = (retryAfterMs: number) =>
  failure('overloaded', 'too many turns wait for this model', { retryAfterMs: Math.ceil(retryAfterMs) });

async function isSoon(decided: Permit['decided']): Promise<boolean> {
  const late = sleep(PERMIT_SOON_MS, false, { ref: false });
  return Promise.race([decided.then(() => true), late]);
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
