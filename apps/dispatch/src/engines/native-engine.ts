import { randomUUID } from 'node:crypto';
import type {
  LanguageModelV4,
  LanguageModelV4FunctionTool,
  LanguageModelV4Message,
  LanguageModelV4Prompt,
} from '@ai-sdk/provider';
import { boundInputTokens, boundText } from './bound.js';
import type { Engine, ReservationAnswer, ToolSpec, TurnHost, TurnInput, TurnOutcome, Usage } from './engine.js';
import { NOTHING_USED } from './engine.js';
import type { ModelAnswer, RequestedTool } from './model-call.js';
import { callModel, emptyAnswer } from './model-call.js';
import type { ProviderFailure } from './provider-failure.js';
import { broken } from './provider-failure.js';
import type { Providers, ResolvedModel } from './providers.js';
import { sumUsage } from './usage.js';

export const MODEL_CALLS_MAX = 10;
export const TOOL_CALLS_PER_ROUND_MAX = 8;
export const TOOL_RESULT_CHARACTERS_MAX = 50_000;
const toolArgumentsCharactersMax = 500_000;

export interface NativeEngineLimits {
  /** Tries of one model call before its first output. */
  attemptsMax: number;
  /** The first wait between tries; doubled each time, with jitter, unless the provider says how long. */
  backoffMs: number;
  /** A provider that asks for a longer wait is given up on. */
  retryAfterMaxMs: number;
  /** From the request to the first chunk: models may think for long before they speak. */
  firstChunkMaxMs: number;
  /** Between two chunks. */
  stallMaxMs: number;
}

const defaultLimits: NativeEngineLimits = {
  attemptsMax: 3,
  backoffMs: 250,
  retryAfterMaxMs: 30_000,
  firstChunkMaxMs: 180_000,
  stallMaxMs: 60_000,
};

/**
 * Our own agent loop: reserve, call the model, settle, run the tools it asks for, again until it has nothing to ask.
 * It is written over the providers' `doStream`, so that every path out of a call goes through one `finally` that settles it.
 */
export class NativeEngine implements Engine {
  readonly #limits: NativeEngineLimits;

  constructor(
    private readonly providers: Providers,
    limits: Partial<NativeEngineLimits> = {},
  ) {
    this.#limits = { ...defaultLimits, ...limits };
  }

  async run(turn: TurnInput, host: TurnHost): Promise<TurnOutcome> {
    const resolved = this.providers.resolve(turn.model);
    if (!resolved.ok) {
      await settleUnused(turn, host);
      return { status: 'failed', code: resolved.code, message: resolved.message, text: '', usage: undefined };
    }
    const stop = new StopSignal(turn.signal, turn.deadlineMs);
    try {
      return await new NativeTurn(turn, host, resolved, stop, this.#limits).run();
    } finally {
      stop.dispose();
    }
  }
}

async function settleUnused(turn: TurnInput, host: TurnHost): Promise<void> {
  const answer = await turn.firstReservation?.answer;
  if (!turn.firstReservation || !answer?.ok) return;
  const { callId } = turn.firstReservation;
  await host.settle({ callId, outcome: 'cancelled', usage: NOTHING_USED, outputTokensSeen: 0 });
}

/** Why a turn must stop before its end: its client or an operator cancelled it, or its time is over. */
class StopSignal {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #cancel = () => this.#controller.abort('cancelled');
  /** Resolves when the turn must stop. */
  readonly stopped: Promise<void>;

  constructor(
    private readonly cancelled: AbortSignal,
    readonly deadlineMs: number,
  ) {
    this.stopped = new Promise((resolve) => this.signal.addEventListener('abort', () => resolve(), { once: true }));
    // Longer than this is not a deadline, and setTimeout would fire at once.
    const leftMs = Math.min(deadlineMs - Date.now(), 2 ** 31 - 1);
    this.#timer = setTimeout(() => this.#controller.abort('deadline'), Math.max(leftMs, 0));
    cancelled.addEventListener('abort', this.#cancel, { once: true });
    if (cancelled.aborted) this.#cancel();
    else if (leftMs <= 0) this.#controller.abort('deadline');
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get reason(): 'cancelled' | 'deadline' | undefined {
    return this.signal.aborted ? (this.signal.reason as 'cancelled' | 'deadline') : undefined;
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.cancelled.removeEventListener('abort', this.#cancel);
  }
}

/** Ends a turn from within its loop. */
type TurnEnd = { status: 'cancelled' } | { status: 'failed'; code: string; message: string; details?: unknown };

type Answered = { ok: true; answer: ModelAnswer } | { ok: false; end: TurnEnd };

class NativeTurn {
  readonly #prompt: LanguageModelV4Prompt;
  readonly #tools: LanguageModelV4FunctionTool[];
  readonly #usages: (Usage | undefined)[] = [];
  readonly #model: LanguageModelV4;
  #inputTokensMax: number;
  #firstReservation: TurnInput['firstReservation'];
  #text = '';

  constructor(
    private readonly turn: TurnInput,
    private readonly host: TurnHost,
    resolved: ResolvedModel,
    private readonly stop: StopSignal,
    private readonly limits: NativeEngineLimits,
  ) {
    this.#model = resolved.model;
    this.#prompt = openingPrompt(turn, resolved.kind);
    this.#tools = turn.tools.map(functionTool);
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
      const stopped = this.#stopped();
      if (stopped) return { ok: false, end: stopped };
    }
  }

  async #attempt(): Promise<Answered | { failure: ProviderFailure; answer: ModelAnswer }> {
    const reservation = await this.#reserve();
    if (!reservation.answer.ok) {
      const { code, message, details } = reservation.answer;
      const end: TurnEnd = { status: 'failed', code, message, ...(details === undefined ? {} : { details }) };
      return { ok: false, end: this.#stopped() ?? end };
    }
    const answer = emptyAnswer();
    const outputTokensMax = Math.min(reservation.answer.outputTokensMax, this.turn.outputTokensMax);
    let outcome: 'completed' | 'failed' | 'cancelled' = 'failed';
    let usage: Usage | undefined;
    try {
      const stoppedBefore = this.#stopped();
      if (stoppedBefore) {
        outcome = 'cancelled';
        usage = NOTHING_USED;
        return { ok: false, end: stoppedBefore };
      }
      const failure = await this.#call(answer, outputTokensMax);
      usage = answer.usage ?? failure?.usage;
      if (!failure) {
        outcome = 'completed';
        return { ok: true, answer };
      }
      const stopped = this.#stopped();
      if (!stopped) return { failure, answer };
      outcome = 'cancelled';
      return { ok: false, end: stopped };
    } finally {
      this.#usages.push(usage);
      await this.host.settle({
        callId: reservation.callId,
        outcome,
        ...(usage === undefined ? {} : { usage }),
        outputTokensSeen: Math.min(answer.outputTokensSeen, outputTokensMax),
        ...(answer.finish === undefined ? {} : { finishReason: answer.finish.raw }),
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

  async #call(answer: ModelAnswer, maxOutputTokens: number): Promise<ProviderFailure | undefined> {
    const controller = new AbortController();
    const abort = () => controller.abort();
    const { signal } = this.stop;
    signal.addEventListener('abort', abort, { once: true });
    let stalled = false;
    const giveUp = () => {
      stalled = true;
      abort();
    };
    let spoken = false;
    let timer = setTimeout(giveUp, this.limits.firstChunkMaxMs);
    const alive = () => {
      if (spoken) return void timer.refresh();
      spoken = true;
      clearTimeout(timer);
      timer = setTimeout(giveUp, this.limits.stallMaxMs);
    };
    let separator = this.#text === '' || this.#text.endsWith('\n') ? '' : '\n\n';
    const put = (text: string) => {
      // Text of an earlier round and of this one are one reply to the reader: keep them apart.
      const whole = separator + text;
      separator = '';
      this.#text += whole;
      this.host.emit({ type: 'text', text: whole });
    };
    try {
      const failure = await callModel(
        this.#model,
        {
          prompt: this.#prompt,
          maxOutputTokens,
          abortSignal: controller.signal,
          ...(this.#tools.length > 0 ? { tools: this.#tools } : {}),
        },
        answer,
        put,
        alive,
      );
      // A provider that kept silent for so long is not asked again: the reader has waited enough.
      return failure && stalled ? { ...broken(), retryable: false } : failure;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      // Frees the connection of an answer that was not read to its end.
      abort();
    }
  }

  async #runTools(answer: ModelAnswer, round: number): Promise<TurnEnd | undefined> {
    this.#say(assistantMessage(answer), answer);
    const results: Extract<LanguageModelV4Message, { role: 'tool' }>['content'] = [];
    for (const [index, call] of answer.toolCalls.entries()) {
      const result = await this.#runTool(call, `${round}.${index + 1}`, index);
      const stopped = this.#stopped();
      if (stopped) return stopped;
      this.#inputTokensMax += boundText(result.content);
      results.push({
        type: 'tool-result',
        toolCallId: call.id,
        toolName: call.name,
        output: { type: result.isError ? 'error-text' : 'text', value: result.content },
      });
    }
    this.#prompt.push({ role: 'tool', content: results });
    return undefined;
  }

  #say(message: LanguageModelV4Message, answer: ModelAnswer): void {
    this.#prompt.push(message);
    this.#inputTokensMax += boundText(answer.text);
    for (const each of answer.reasoning) this.#inputTokensMax += boundText(each.text) + metadataBytes(each.metadata);
    for (const each of answer.toolCalls) {
      this.#inputTokensMax += boundText(each.name + each.argumentsJson + each.id) + metadataBytes(each.metadata);
    }
  }

  async #runTool(
    call: RequestedTool,
    toolCallId: string,
    index: number,
  ): Promise<{ content: string; isError: boolean }> {
    if (index >= TOOL_CALLS_PER_ROUND_MAX) {
      return failedTool(`Only ${TOOL_CALLS_PER_ROUND_MAX} tool calls run at a time; ask again for this one.`);
    }
    if (!this.turn.tools.some((tool) => tool.name === call.name)) return failedTool('There is no such tool.');
    if (call.argumentsJson.length > toolArgumentsCharactersMax) return failedTool('The arguments are too long.');
    if (objectOf(call.argumentsJson) === undefined) return failedTool('The arguments are not a JSON object.');
    const { name, argumentsJson } = call;
    this.host.emit({ type: 'tool_call', toolCallId, name });
    const running = this.host.tool({ toolCallId, name, argumentsJson: argumentsJson.trim() || '{}' });
    const result = await Promise.race([
      running.catch(() => failedTool('The tool failed.')),
      this.stop.stopped.then(() => failedTool('The turn was stopped.')),
    ]);
    this.host.emit({ type: 'tool_result', toolCallId, name, isError: result.isError });
    return { content: cutToolResult(result.content), isError: result.isError };
  }

  #stopped(): TurnEnd | undefined {
    switch (this.stop.reason) {
      case 'cancelled':
        return { status: 'cancelled' };
      case 'deadline':
        return { status: 'failed', code: 'deadline_exceeded', message: 'The turn took longer than it may.' };
      default:
        return undefined;
    }
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

/**
 * Anthropic caches up to a marked block, so its system prompt is two messages. The others cache whatever prefix repeats, and
 * some servers' chat templates take one system message only.
 */
function openingPrompt(turn: TurnInput, kind: ResolvedModel['kind']): LanguageModelV4Prompt {
  const { stable, dynamic } = turn.system;
  const prompt: LanguageModelV4Prompt = [];
  if (kind === 'anthropic') {
    const cached = { anthropic: { cacheControl: { type: 'ephemeral' } } };
    if (stable.trim() !== '') prompt.push({ role: 'system', content: stable, providerOptions: cached });
    if (dynamic.trim() !== '') prompt.push({ role: 'system', content: dynamic });
  } else {
    const whole = [stable, dynamic].filter((part) => part.trim() !== '').join('\n\n');
    if (whole !== '') prompt.push({ role: 'system', content: whole });
  }
  for (const { role, content } of turn.history) {
    // Providers refuse empty texts, and an answer may have been empty.
    if (content.trim() !== '') prompt.push({ role, content: [{ type: 'text', text: content }] });
  }
  prompt.push({ role: 'user', content: [{ type: 'text', text: turn.message }] });
  return prompt;
}

function assistantMessage(answer: ModelAnswer): LanguageModelV4Message {
  const options = (metadata: RequestedTool['metadata']) => (metadata ? { providerOptions: metadata } : {});
  return {
    role: 'assistant',
    content: [
      ...answer.reasoning.map((each) => ({ type: 'reasoning' as const, text: each.text, ...options(each.metadata) })),
      ...(answer.text.trim() === '' ? [] : [{ type: 'text' as const, text: answer.text }]),
      ...answer.toolCalls.map((call) => ({
        type: 'tool-call' as const,
        toolCallId: call.id,
        toolName: call.name,
        input: objectOf(call.argumentsJson) ?? {},
        ...options(call.metadata),
      })),
    ],
  };
}

function functionTool(tool: ToolSpec): LanguageModelV4FunctionTool {
  return { type: 'function', name: tool.name, description: tool.description, inputSchema: tool.inputSchema as object };
}

/** The arguments as an object; a tool without arguments may be called with an empty text. */
function objectOf(json: string): object | undefined {
  if (json.trim() === '') return {};
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function cutToolResult(content: string): string {
  if (content.length <= TOOL_RESULT_CHARACTERS_MAX) return content;
  const marker = `\n[cut: ${content.length} characters, of which these are the first]`;
  return content.slice(0, TOOL_RESULT_CHARACTERS_MAX - marker.length) + marker;
}

function failedTool(content: string): { content: string; isError: boolean } {
  return { content, isError: true };
}

function metadataBytes(metadata: RequestedTool['metadata']): number {
  return metadata ? Buffer.byteLength(JSON.stringify(metadata)) : 0;
}

/** Resolves when the signal is aborted or the time is over, whichever is first; leaves nothing behind. */
function until(signal: AbortSignal, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, timeoutMs);
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}
