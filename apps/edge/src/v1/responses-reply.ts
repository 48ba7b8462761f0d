import type { Refusal, Usage } from '@reef/contracts';
import { openAiErrorOf } from '../http/problem.js';
import type { ResponsesRequest } from './responses-request.js';
import { type Ending, inputTokensOf, outputTokensOf, type Reply } from './reply.js';

type Status = 'in_progress' | 'completed' | 'incomplete' | 'failed';

/** The Responses shape: one message with one text part, told in the order of events that OpenAI's client expects. */
export class ResponsesReply implements Reply {
  readonly #id: string;
  readonly #itemId: string;
  readonly #createdAt: number;
  readonly #said: string[] = [];
  #sequence = 0;

  /** @param nowMs ms since the epoch. */
  constructor(
    turnId: string,
    private readonly request: ResponsesRequest,
    nowMs: number,
  ) {
    this.#id = `resp_${turnId}`;
    this.#itemId = `msg_${turnId}`;
    this.#createdAt = Math.floor(nowMs / 1_000);
  }

  opening(): string {
    return (
      this.#event('response.created', { response: this.#response('in_progress', [], null) }) +
      this.#event('response.in_progress', { response: this.#response('in_progress', [], null) }) +
      this.#event('response.output_item.added', { output_index: 0, item: this.#item('in_progress', []) }) +
      this.#event('response.content_part.added', { ...this.#place(), part: textPart('') })
    );
  }

  text(text: string): string {
    this.#said.push(text);
    return this.#event('response.output_text.delta', { ...this.#place(), delta: text, logprobs: [] });
  }

  closing(ending: Ending): string {
    const text = this.#said.join('');
    const status = statusOf(ending);
    const item = this.#item(status, [textPart(text)]);
    return (
      this.#event('response.output_text.done', { ...this.#place(), text, logprobs: [] }) +
      this.#event('response.content_part.done', { ...this.#place(), part: textPart(text) }) +
      this.#event('response.output_item.done', { output_index: 0, item }) +
      this.#event(`response.${status}`, { response: this.#response(status, [item], ending.usage) })
    );
  }

  failing(refusal: Refusal): string {
    const { error } = openAiErrorOf(refusal);
    return this.#event('error', { code: error.code, message: error.message, param: error.param, error });
  }

  whole(text: string, ending: Ending): string {
    const status = statusOf(ending);
    return JSON.stringify(this.#response(status, [this.#item(status, [textPart(text)])], ending.usage));
  }

  #event(type: string, data: object): string {
    return `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: this.#sequence++, ...data })}\n\n`;
  }

  #place() {
    return { item_id: this.#itemId, output_index: 0, content_index: 0 };
  }

  #item(status: Status, content: object[]) {
    return { id: this.#itemId, type: 'message', status, role: 'assistant', content };
  }

  #response(status: Status, output: object[], usage: Usage | null) {
    const {
      model,
      instructions,
      max_output_tokens: outputTokensMax,
      metadata,
      temperature,
      top_p,
      user,
    } = this.request;
    return {
      id: this.#id,
      object: 'response',
      created_at: this.#createdAt,
      status,
      background: false,
      error: null,
      incomplete_details: status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
      instructions: instructions ?? null,
      max_output_tokens: outputTokensMax ?? null,
      metadata: metadata ?? {},
      model,
      output,
      parallel_tool_calls: false,
      previous_response_id: null,
      store: false,
      temperature: temperature ?? null,
      text: { format: { type: 'text' } },
      tool_choice: 'auto',
      tools: [],
      top_p: top_p ?? null,
      truncation: 'disabled',
      usage: usage && responsesUsage(usage),
      user: user ?? null,
    };
  }
}

const statusOf = ({ finishReason }: Ending): Status => (finishReason === 'length' ? 'incomplete' : 'completed');
const textPart = (text: string) => ({ type: 'output_text', text, annotations: [], logprobs: [] });

function responsesUsage(usage: Usage) {
  const inputTokens = inputTokensOf(usage);
  const outputTokens = outputTokensOf(usage);
  return {
    input_tokens: inputTokens,
    input_tokens_details: { cached_tokens: usage.cacheReadTokens },
    output_tokens: outputTokens,
    output_tokens_details: { reasoning_tokens: usage.reasoningTokens },
    total_tokens: inputTokens + outputTokens,
  };
}
