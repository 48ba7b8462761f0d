import { dispatch, type LiveFrame, type OutputOf, type Refusal } from '@reef/contracts';
import { newId } from '@reef/messaging';
import { type Code, REFUSAL_CODES, refused, statusOf } from '../http/refusals.js';
import { type Call, SENT } from '../http/route.js';
import { idFrom, sha256 } from '../ids.js';
import { LIMITS } from '../limits.js';
import { admissionHeaders, refusalHeaders } from './admission-headers.js';
import { spelledBudget } from './budget-refusal.js';
import type { TurnRequest } from './chat-request.js';
import { EventStream } from './event-stream.js';
import type { Ending, Reply } from './reply.js';

type TurnView = OutputOf<typeof dispatch.queries.turn>;
type Accepted = OutputOf<typeof dispatch.commands.startTurn>;

const ALIVE = Buffer.from(': alive\n\n');
const CANCELLED = refused('turn_cancelled', 'the turn was cancelled');
const STILL_RUNNING = refused('still_running', 'the first request under this Idempotency-Key is still running');

/** Runs one turn for one client, whole or streamed. */
export async function runTurn(
  call: Call,
  turn: TurnRequest,
  replyOf: (turnId: string) => Reply,
  stream: boolean,
): Promise<Refusal | typeof SENT> {
  const turnId = turnIdOf(call);
  call.reply.header('x-reef-turn', turnId);
  const reply = replyOf(turnId);

  if (call.idempotencyKey !== null) {
    // The id holds key and body, so a turn under it is this very request, made before.
    if (call.edge.turns.isFollowing(turnId)) return STILL_RUNNING;
    const earlier = await call.ask(dispatch.queries.turn, { turnId });
    if (earlier.ok) return repeat(call, earlier.value, reply, stream);
    if (earlier.code !== 'turn_not_found') return earlier;
  }
  const place = call.edge.turns.takePlace(() => undefined);
  if (!place) return refused('overloaded', 'too many turns are open');
  try {
    return await new RunningTurn(call, turnId, reply, stream).run(turn);
  } finally {
    place.leave();
  }
}

function turnIdOf({ idempotencyKey, commandId, body }: Call): string {
  return idempotencyKey === null ? newId() : idFrom([commandId, sha256(JSON.stringify(body))]);
}

/** Answers a request that was made before from what became of it. */
function repeat(call: Call, { status, reply: text, usage, failure, session }: TurnView, reply: Reply, stream: boolean) {
  call.reply.header('x-reef-session', session);
  switch (status) {
    case 'queued':
    case 'running':
      return STILL_RUNNING;
    case 'cancelled':
      return doNotRetry(call, CANCELLED);
    case 'failed':
      return doNotRetry(call, failureOf(failure));
    case 'completed': {
      const ending: Ending = { finishReason: 'stop', usage };
      if (!stream) return sendWhole(call, reply.whole(text ?? '', ending));
      const events = EventStream.open(call.reply);
      events.write(reply.opening() + reply.text(text ?? '') + reply.closing(ending));
      events.end();
      return SENT;
    }
  }
}

class RunningTurn {
  readonly #text: string[] = [];
  #chars = 0;
  /** Frames that came before dispatch's answer; null from then on. */
  #early: LiveFrame[] | null = [];
  #events: EventStream | null = null;
  #ended = false;
  readonly #outcome = Promise.withResolvers<Refusal | typeof SENT>();

  constructor(
    private readonly call: Call,
    private readonly turnId: string,
    private readonly reply: Reply,
    private readonly stream: boolean,
  ) {}

  async run(turn: TurnRequest): Promise<Refusal | typeof SENT> {
    const { call, turnId } = this;
    const { turns } = call.edge;
    const { tenant, principal } = call.caller;
    // Two copies under one Idempotency-Key may have looked for each other at the same moment.
    if (turns.isFollowing(turnId)) return STILL_RUNNING;
    turns.follow(tenant, turnId, {
      onFrame: (frame) => this.#hear(frame),
      onLost: (refusal) => this.#lose(refusal),
    });
    call.reply.raw.once('close', () => this.#hangUp());
    const { model: _asSpelt, ...request } = turn;
    const accepted = await call.ask(dispatch.commands.startTurn, {
      ...request,
      turnId,
      source: 'chat',
      keyId: principal.kind === 'key' ? principal.id : null,
      edgeId: turns.edgeId,
    });
    if (accepted.ok) this.#accept(accepted.value);
    else await this.#refuse(accepted);
    return this.#outcome.promise;
  }

  #accept({ session }: Accepted): void {
    this.call.reply.header('x-reef-session', session);
    if (this.#ended) return this.#abandon(); // The client left while dispatch was asked.
    const early = this.#early ?? [];
    this.#early = null;
    for (const frame of early) this.#hear(frame);
  }

  async #refuse(refusal: Refusal): Promise<void> {
    this.call.edge.turns.unfollow(this.turnId);
    if (this.#ended) return;
    this.#ended = true;
    // Two copies of one request may have raced here; the other one is running, or this one has another body.
    if (refusal.code === 'command_id_reused' || refusal.code === 'turn_reused') {
      const other = await this.call.ask(dispatch.queries.turn, { turnId: this.turnId });
      return this.#outcome.resolve(other.ok ? STILL_RUNNING : refusal);
    }
    // Whether the turn began is unknown where no answer came: it must not run for nobody.
    if (refusal.code === 'deadline_exceeded') this.#abandon();
    this.#outcome.resolve(
      refusal.code === 'agent_not_found' ? { ...refusal, details: { ...refusal.details, param: 'model' } } : refusal,
    );
  }

  #hear(frame: LiveFrame): void {
    if (this.#ended) return;
    if (this.#early) {
      if (this.#early.length >= LIMITS.earlyFrames) return this.#lose(refused('overloaded', 'the turn ran ahead'));
      this.#early.push(frame);
      return;
    }
    switch (frame.type) {
      case 'text':
        return this.#say(frame.text);
      case 'admitted':
        if (!this.#events) this.call.reply.headers(admissionHeaders(frame));
        return;
      case 'tool':
      case 'alive':
        if (this.stream) this.#write(ALIVE);
        return;
      case 'end':
        return this.#end(frame);
    }
  }

  #say(text: string): void {
    this.#chars += text.length;
    if (this.#chars > LIMITS.replyChars) return this.#lose(refused('too_large', 'the answer is too long'));
    if (this.stream) this.#write(this.reply.text(text));
    else this.#text.push(text);
  }

  /** The head of a stream waits for its first frame, so that a turn that is refused at once has a status of its own. */
  #write(data: string | Buffer): void {
    let sent: boolean;
    if (this.#events) sent = this.#events.write(data);
    else {
      this.#events = EventStream.open(this.call.reply);
      sent = this.#events.write(this.reply.opening() + data.toString());
    }
    if (!sent) this.#hangUp();
  }

  #end(frame: Extract<LiveFrame, { type: 'end' }>): void {
    if (frame.status === 'cancelled') return this.#fail(CANCELLED);
    if (frame.status === 'failed') return this.#fail(failureOf(frame.failure));
    const ending: Ending = { finishReason: frame.finishReason ?? 'stop', usage: frame.usage };
    this.#ended = true;
    if (this.stream) {
      this.#write(this.reply.closing(ending));
      this.#events?.end();
      this.#outcome.resolve(SENT);
    } else {
      this.#outcome.resolve(sendWhole(this.call, this.reply.whole(this.#text.join(''), ending)));
    }
  }

  #lose(refusal: Refusal): void {
    if (this.#ended) return;
    this.call.edge.turns.unfollow(this.turnId);
    this.#abandon();
    this.#fail(refusal);
  }

  #fail(refusal: Refusal): void {
    this.#ended = true;
    if (this.#events) {
      this.#events.write(this.reply.failing(refusal));
      this.#events.end();
      this.#outcome.resolve(SENT);
    } else {
      this.#outcome.resolve(doNotRetry(this.call, refusal));
    }
  }

  /** The client is gone, or was dropped because it does not read. */
  #hangUp(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.call.edge.turns.unfollow(this.turnId);
    if (this.#early === null) this.#abandon();
    if (!this.#events) this.call.reply.hijack();
    this.#outcome.resolve(SENT);
  }

  /** Nobody hears this turn any more: it is stopped, unless the client may come back for it under its Idempotency-Key. */
  #abandon(): void {
    if (this.call.idempotencyKey !== null) return;
    void this.call.ask(dispatch.commands.cancelTurn, { turnId: this.turnId }, { commandId: newId() });
  }
}

function sendWhole(call: Call, json: string): typeof SENT {
  void call.reply.header('content-type', 'application/json; charset=utf-8').send(json);
  return SENT;
}

/** Part of the work may be done and paid for: a client that retries by itself would pay twice. A queue's "later" stays a "later". */
function doNotRetry(call: Call, refusal: Refusal): Refusal {
  if (statusOf(refusal.code) !== 429) call.reply.header('x-should-retry', 'false');
  call.reply.headers(refusalHeaders(refusal));
  return refusal;
}

/** A failed turn's reason. A code nobody declared comes from an engine: the turn failed, and not by our bug. */
export function failureOf(
  failure: { code: string; message: string; details?: Record<string, unknown> | undefined } | null,
): Refusal {
  if (!failure) return refused('turn_failed', 'the turn failed');
  const { code, message, details } = failure;
  if (REFUSAL_CODES.includes(code)) return spelledBudget(refused(code as Code, message, details));
  return refused('turn_failed', message, { ...details, reason: code });
}
