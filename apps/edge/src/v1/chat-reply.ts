import type { Refusal, Usage } from '@reef/contracts';
import { openAiErrorOf } from '../http/problem.js';
import { type Ending, inputTokensOf, outputTokensOf, type Reply } from './reply.js';

/** The Chat Completions shape. A chunk is a prefix made once, the text, and a suffix. */
export class ChatReply implements Reply {
  readonly #id: string;
  readonly #created: number;
  readonly #head: string;
  readonly #prefix: string;
  readonly #suffix: string;

  /** @param nowMs ms since the epoch. */
  constructor(
    turnId: string,
    private readonly model: string,
    private readonly includeUsage: boolean,
    nowMs: number,
  ) {
    this.#id = `chatcmpl-${turnId}`;
    this.#created = Math.floor(nowMs / 1_000);
    this.#head = `data: {"id":"${this.#id}","object":"chat.completion.chunk","created":${this.#created},"model":${JSON.stringify(model)},"choices":[`;
    this.#prefix = `${this.#head}{"index":0,"delta":{"content":`;
    this.#suffix = `},"logprobs":null,"finish_reason":null}]${includeUsage ? ',"usage":null' : ''}}\n\n`;
  }

  opening(): string {
    return `${this.#head}{"index":0,"delta":{"role":"assistant","content":""${this.#suffix}`;
  }

  text(text: string): string {
    return this.#prefix + JSON.stringify(text) + this.#suffix;
  }

  closing({ finishReason, usage }: Ending): string {
    const last = `${this.#head}{"index":0,"delta":{},"logprobs":null,"finish_reason":"${finishReason}"}]${this.includeUsage ? ',"usage":null' : ''}}\n\n`;
    const totals = this.includeUsage ? `${this.#head}],"usage":${JSON.stringify(usage && chatUsage(usage))}}\n\n` : '';
    return `${last}${totals}data: [DONE]\n\n`;
  }

  failing(refusal: Refusal): string {
    return `data: ${JSON.stringify(openAiErrorOf(refusal))}\n\n`;
  }

  whole(text: string, { finishReason, usage }: Ending): string {
    return JSON.stringify({
      id: this.#id,
      object: 'chat.completion',
      created: this.#created,
      model: this.model,
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: text, refusal: null },
          logprobs: null,
          finish_reason: finishReason,
        },
      ],
      ...(usage && { usage: chatUsage(usage) }),
    });
  }
}

function chatUsage(usage: Usage) {
  const promptTokens = inputTokensOf(usage);
  const completionTokens = outputTokensOf(usage);
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: usage.cacheReadTokens },
    completion_tokens_details: { reasoning_tokens: usage.reasoningTokens },
  };
}
