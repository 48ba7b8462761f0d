import { randomUUID } from 'node:crypto';
import type { ModelAnswer, RequestedTool } from '../model-answer.js';
import { nonsense, type ProviderFailure, reportedFailure } from '../provider-failure.js';
import { openAiUsage } from '../usage.js';
import { isRecord, listOf, NotUnderstood, recordOf, textOf } from './reading.js';

/** Builds an answer from the chunks of a chat completion, and forgives what servers that copy the format are known to do. */
export class ChunkCollector {
  readonly #calls: (RequestedTool & { index: number | undefined })[] = [];
  #finishReason = '';

  constructor(private readonly answer: ModelAnswer) {}

  /** @returns why the call is over. */
  take(data: string): ProviderFailure | undefined {
    try {
      const chunk = recordOf(JSON.parse(data));
      if (chunk['error'] !== undefined && chunk['error'] !== null) return reportedFailure();
      this.#read(chunk);
    } catch (error) {
      if (error instanceof SyntaxError || error instanceof NotUnderstood) return nonsense();
      throw error;
    }
    return this.answer.isTooLong || this.#calls.length > TOOL_CALLS_MAX ? nonsense() : undefined;
  }

  /** The stream has ended: its tool calls are whole. */
  end(): ProviderFailure | undefined {
    if (this.#calls.some(({ name }) => name === '')) return nonsense();
    const ids = new Set<string>();
    for (const { id, name, argumentsJson, metadata } of this.#calls) {
      // Some servers give none, some the same to all.
      const unique = id === '' || ids.has(id) ? `call_${randomUUID()}` : id;
      ids.add(unique);
      this.answer.toolCalls.push({ id: unique, name, argumentsJson, metadata });
    }
    if (this.#finishReason !== '') {
      this.answer.finish = { unified: unifiedOf(this.#finishReason), raw: this.#finishReason };
    }
    return undefined;
  }

  #read(chunk: Record<string, unknown>): void {
    if (isRecord(chunk['usage'])) this.answer.usage = openAiUsage(chunk['usage']);
    // The chunk with the usage has no choice; only one is ever asked for.
    const [first] = listOf(chunk['choices']);
    if (first === undefined) return;
    const choice = recordOf(first);
    this.#finishReason = textOf(choice['finish_reason']) || this.#finishReason;
    if (choice['delta'] === undefined || choice['delta'] === null) return;
    const delta = recordOf(choice['delta']);
    this.#reason(textOf(delta['reasoning_content'] ?? delta['reasoning']));
    this.#content(delta['content']);
    // Some servers say `false` where nothing was refused.
    if (typeof delta['refusal'] === 'string') this.answer.say(delta['refusal']);
    for (const call of listOf(delta['tool_calls'])) this.#toolCall(recordOf(call));
  }

  #reason(piece: string): void {
    if (piece === '') return;
    this.answer.saw(piece);
    const [block] = this.answer.reasoning;
    if (block) block.text += piece;
    else this.answer.reasoning.push({ text: piece, metadata: undefined });
  }

  /** A text, or a list of parts as Mistral sends it. */
  #content(content: unknown): void {
    if (!Array.isArray(content)) return this.answer.say(textOf(content));
    for (const part of content.map(recordOf)) {
      if (part['type'] === 'text') this.answer.say(textOf(part['text']));
      if (part['type'] === 'thinking') {
        for (const thought of listOf(part['thinking']).map(recordOf)) this.#reason(textOf(thought['text']));
      }
    }
  }

  #toolCall(delta: Record<string, unknown>): void {
    const part = recordOf(delta['function'] ?? {});
    const [id, name, more] = [textOf(delta['id']).trim(), textOf(part['name']).trim(), textOf(part['arguments'])];
    const index = typeof delta['index'] === 'number' ? delta['index'] : undefined;
    let call = this.#callOf(index, id, name);
    if (!call) {
      call = { id, name: '', argumentsJson: '', metadata: undefined, index };
      this.#calls.push(call);
    }
    call.id ||= id;
    if (call.name === '') {
      call.name = name;
      this.answer.saw(name);
    }
    call.argumentsJson += more;
    this.answer.saw(more);
    const signature = signatureOf(delta['extra_content']);
    if (signature !== undefined) call.metadata = { google: { thoughtSignature: signature } };
  }

  /** Which call a piece goes on with: that of its id, else of its index, else the last. Undefined: it begins a call. */
  #callOf(index: number | undefined, id: string, name: string) {
    const sameId = id === '' ? undefined : this.#calls.findLast((call) => call.id === id);
    if (sameId && (index === undefined || sameId.index === index)) return sameId;
    const beginsAnother = (call: { id: string; name: string }) =>
      id !== '' && call.id !== '' && id !== call.id && name !== '';
    const known =
      index === undefined
        ? id === '' && name === ''
          ? this.#calls.at(-1)
          : undefined
        : this.#calls.findLast((call) => call.index === index);
    return known && !beginsAnother(known) ? known : undefined;
  }
}

/** A stream that names more calls than this is no answer. */
const TOOL_CALLS_MAX = 128;

function unifiedOf(reason: string): 'stop' | 'length' | 'tool-calls' {
  if (reason === 'length') return 'length';
  return reason === 'tool_calls' || reason === 'function_call' ? 'tool-calls' : 'stop';
}

/** Gemini's thought signature, which the next request must repeat. */
function signatureOf(extra: unknown): string | undefined {
  const google = isRecord(extra) ? extra['google'] : undefined;
  const signature = isRecord(google) ? google['thought_signature'] : undefined;
  return typeof signature === 'string' && signature !== '' ? signature : undefined;
}
