import type { ChatMessage, SystemPrompt, ToolSpec } from './engine.js';

/** What a provider adds around one message: role markers and separators, 3–7 tokens with the templates that are published. */
const tokensPerMessage = 16;
/** What a provider adds once: the start of the reply, a default system line. */
const tokensPerPrompt = 64;
/** Providers explain tool use to the model in a prompt of their own: Anthropic names up to 530 tokens. */
const tokensForToolUse = 1_024;
/** A tool is rendered anew (as JSON, XML or TypeScript); names of fields that its JSON lacks are covered by this. */
const tokensPerTool = 64;

/**
 * An upper bound of a call's input tokens, for the reservation. It can never be below the truth for a byte-level BPE tokenizer:
 * such a tokenizer starts with one token for every UTF-8 byte and only ever merges, so a text has at most as many tokens as
 * bytes; what providers add around the texts is covered by the constants. The truth is usually a third to a quarter of it.
 */
export function boundInputTokens(
  system: SystemPrompt,
  history: readonly ChatMessage[],
  message: string,
  tools: readonly ToolSpec[],
): number {
  let tokens = tokensPerPrompt + boundTools(tools) + boundText(system.stable) + boundText(system.dynamic);
  for (const each of history) tokens += boundText(each.content);
  return tokens + boundText(message);
}

/** The bound of one more message, or of one tool call or result. */
export function boundText(text: string): number {
  return tokensPerMessage + Buffer.byteLength(text);
}

const toolBounds = new WeakMap<ToolSpec, number>();

function boundTools(tools: readonly ToolSpec[]): number {
  let tokens = tools.length > 0 ? tokensForToolUse : 0;
  for (const tool of tools) {
    let bound = toolBounds.get(tool);
    if (bound === undefined) {
      bound = tokensPerTool + Buffer.byteLength(JSON.stringify(tool));
      toolBounds.set(tool, bound);
    }
    tokens += bound;
  }
  return tokens;
}

/** Fewer than English prose has (about four) and as many as Chinese: an estimate that is wrong should rather be too high. */
const BYTES_PER_TOKEN_LIKELY = 3;

/** What an input most likely has whose bound, by bytes, is this. For estimates: a bound must hold for every tokenizer, an estimate for none. */
export function likelyInputTokens(inputTokensMax: number): number {
  return Math.ceil(inputTokensMax / BYTES_PER_TOKEN_LIKELY);
}
