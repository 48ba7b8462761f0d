import { randomUUID } from 'node:crypto';
import { boundInputTokens, boundText } from './bound.js';
import type { ReservationAnswer, TurnHost, TurnInput, TurnOutcome, Usage } from './engine.js';
import { NOTHING_USED } from './engine.js';
import type { Model, ModelMessage } from './model.js';
import { ModelAnswer, type RequestedTool } from './model-answer.js';
import type { NativeEngineLimits } from './native-engine.js';
import { broken, type ProviderFailure } from './provider-failure.js';
import { Silence } from './silence.js';
import { type StopSignal, type TurnEnd, until } from './stop-signal.js';
import { ToolRound } from './tool-round.js';
import { sumUsage } from './usage.js';

export const MODEL_CALLS_MAX = 10;

type Answered = { ok: true; answer: ModelAnswer } | { ok: false; end: TurnEnd };

/** One turn's loop over model calls and tools. */
export class NativeTurn {
  readonly #messages: ModelMessage[];
  readonly #tools: ToolRound;
  readonly #usages: (Usage | undefined)[] = [];
  #inputTokensMax: number;
  #firstReservation: TurnInput['firstReservation'];
  #text = '';

  constructor(
    private readonly turn: TurnInput,
    private readonly host: TurnHost,
    private readonly model: Model,
    private readonly stop: StopSignal,
    private readonly limits: NativeEngineLimits,
  ) {
    this.#messages = openingMessages(turn);
    this.#tools = new ToolRound(turn, host, stop);
    this.#inputTokensMax = boundInputTokens(turn.system, turn.history, turn.message, turn.tools);
    this.#firstReservation = turn.firstReservation;
  }

  async run(): Promise<TurnOutcome> {
    const callsMax = Math.min(this.turn.modelCallsMax, MODEL_CALLS_MAX);
    for (let round = 1; round <= callsMax; round += 1) {
      const answered = await this.#answer();
      if (!answered.ok) return this.#ended(answered.end);
      const { finish, toolCalls } = answered.answer;
      // Tool calls that the limit cut in two are not run: their arguments are not what the model meant.
      if (toolCalls.length === 0 || finish?.unified === 'length') return this.#completed(finish?.unified);
      if (round === callsMax) break;
      const end = await this.#runTools(answered.answer, round);
      if (end) return this.#ended(end);
    }
    return this.#ended({
      status: 'failed',
      code: 'too_many_model_calls',
      message: `The agent needed more than ${callsMax} model calls for one turn.`,
    });
  }

  /** One answer of the model, with retries for as long as nothing of it has been put out. */
  async #answer(): Promise<Answered> {
    for (let attempt = 1; ; attempt += 1) {
      const tried = await this.#attempt();
      if ('ok' in tried) return tried;
      const { failure, answer } = tried;
      const end: TurnEnd = {
        status: 'failed',
        code: failure.code,
        message: failure.message,
        ...(failure.status === undefined ? {} : { details: { status: failure.status } }),
      };
      if (answer.started || !failure.retryable || attempt >= this.limits.attemptsMax) return { ok: false, end };
      const backoffMs = this.limits.backoffMs * 2 ** (attempt - 1) * (0.5 + Math.random() / 2);
      const waitMs = failure.retryAfterMs ?? backoffMs;
      if (waitMs > this.limits.retryAfterMaxMs || Date.now() + waitMs >= this.stop.deadlineMs)
        return { ok: false, end };
      await until(this.stop.signal, waitMs);
      const stopped = this.stop.end;
      if (stopped) return { ok: false, end: stopped };
    }
  }

  async #attempt(): Promise<Answered | { failure: ProviderFailure; answer: ModelAnswer }> {
    const reservation = await this.#reserve();
    if (!reservation.answer.ok) {
      const { code, message, details } = reservation.answer;
      const end: TurnEnd = { status: 'failed', code, message, ...(details === undefined ? {} : { details }) };
      return { ok: false, end: this.stop.end ?? end };
    }
    const { callId } = reservation;
    const outputTokensMax = Math.min(reservation.answer.outputTokensMax, this.turn.outputTokensMax);
    const silence = new Silence(this.limits);
    const answer = new ModelAnswer({
      text: this.#speaker(),
      alive: () => silence.end(),
      progress: (tokens) => this.host.progress?.(callId, Math.min(tokens, outputTokensMax)),
    });
    let outcome: 'completed' | 'failed' | 'cancelled' = 'failed';
    let usage: Usage | undefined;
    try {
      const stoppedBefore = this.stop.end;
      if (stoppedBefore) {
        outcome = 'cancelled';
        usage = NOTHING_USED;
        return { ok: false, end: stoppedBefore };
      }
      const failure = await this.#call(answer, outputTokensMax, silence);
      usage = answer.usage ?? failure?.usage;
      if (!failure) {
        outcome = 'completed';
        return { ok: true, answer };
      }
      const stopped = this.stop.end;
      if (!stopped) return { failure, answer };
      outcome = 'cancelled';
      return { ok: false, end: stopped };
    } finally {
      this.#usages.push(usage);
      await this.host.settle({
        callId,
        outcome,
        ...(usage === undefined ? {} : { usage }),
        outputTokensSeen: Math.min(answer.outputTokensSeen, outputTokensMax),
        ...(answer.finish === undefined ? {} : { finishReason: answer.finish.raw }),
        ...(answer.rateLimits === undefined ? {} : { rateLimits: answer.rateLimits }),
      });
    }
  }

  async #reserve(): Promise<{ callId: string; answer: ReservationAnswer }> {
    const first = this.#firstReservation;
    this.#firstReservation = undefined;
    if (first) return { callId: first.callId, answer: await first.answer };
    const callId = randomUUID();
    const answer = await this.host.reserve({
      callId,
      model: this.turn.model,
      inputTokensMax: this.#inputTokensMax,
      outputTokensMax: this.turn.outputTokensMax,
    });
    return { callId, answer };
  }

  async #call(answer: ModelAnswer, outputTokensMax: number, silence: Silence): Promise<ProviderFailure | undefined> {
    const controller = new AbortController();
    const abort = () => controller.abort('stopped');
    const { signal } = this.stop;
    signal.addEventListener('abort', abort, { once: true });
    silence.begin(abort);
    try {
      const request = {
        system: this.turn.system,
        messages: this.#messages,
        tools: this.turn.tools,
        outputTokensMax,
      };
      const failure = await this.model.call(request, answer, controller.signal);
      // A provider that kept silent for so long is not asked again: the reader has waited enough.
      return failure && silence.tooLong ? { ...broken(), retryable: false } : failure;
    } finally {
      silence.forget();
      signal.removeEventListener('abort', abort);
    }
  }

  /** Puts one answer's text out. Text of an earlier round and of this one are one reply to the reader: it keeps them apart. */
  #speaker(): (piece: string) => void {
    let separator = this.#text === '' || this.#text.endsWith('\n') ? '' : '\n\n';
    return (piece) => {
      const text = separator + piece;
      separator = '';
      this.#text += text;
      this.host.emit({ type: 'text', text });
    };
  }

  async #runTools(answer: ModelAnswer, round: number): Promise<TurnEnd | undefined> {
    const { text, reasoning, toolCalls } = answer;
    this.#messages.push({ role: 'assistant', text, reasoning, toolCalls });
    this.#inputTokensMax += boundAnswer(answer);
    const results = await this.#tools.run(toolCalls, round);
    if (this.stop.end) return this.stop.end;
    for (const { content } of results) this.#inputTokensMax += boundText(content);
    this.#messages.push({ role: 'tool', results });
    return undefined;
  }

  #ended(end: TurnEnd): TurnOutcome {
    return { ...end, text: this.#text, usage: sumUsage(this.#usages) };
  }

  #completed(finish: 'stop' | 'length' | 'tool-calls' | undefined): TurnOutcome {
    return {
      status: 'completed',
      text: this.#text,
      finishReason: finish === 'length' ? 'length' : 'stop',
      messages: [
        { role: 'user', content: this.turn.message },
        { role: 'assistant', content: this.#text },
      ],
      usage: sumUsage(this.#usages),
    };
  }
}

function openingMessages({ history, message }: TurnInput): ModelMessage[] {
  return [
    // Providers refuse empty texts, and an answer may have been empty.
    ...history
      .filter(({ content }) => content.trim() !== '')
      .map(({ role, content }): ModelMessage =>
        role === 'user' ? { role, text: content } : { role, text: content, reasoning: [], toolCalls: [] },
      ),
    { role: 'user', text: message },
  ];
}

/** The bound of what an answer adds to the next call's input. */
function boundAnswer({ text, reasoning, toolCalls }: ModelAnswer): number {
  let tokens = boundText(text);
  for (const each of reasoning) tokens += boundText(each.text) + metadataBytes(each.metadata);
  for (const each of toolCalls) {
    tokens += boundText(each.name + each.argumentsJson + each.id) + metadataBytes(each.metadata);
  }
  return tokens;
}

function metadataBytes(metadata: RequestedTool['metadata']): number {
  return metadata ? Buffer.byteLength(JSON.stringify(metadata)) : 0;
}
