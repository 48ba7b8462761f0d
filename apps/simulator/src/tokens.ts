import type { CompletionRequest } from './request.js';
import { textOf } from './request.js';

const bytesPerToken = 4;
const tokensPerMessage = 4;

/** One token for every four bytes begun: simple, the same on every machine, and near to what real tokenizers give for English. */
export function tokensOfBytes(bytes: number): number {
  return Math.ceil(bytes / bytesPerToken);
}

export function promptTokens(request: CompletionRequest): number {
  let bytes = request.tools?.length ? Buffer.byteLength(JSON.stringify(request.tools)) : 0;
  for (const message of request.messages) {
    bytes += Buffer.byteLength(textOf(message));
    for (const call of message.tool_calls ?? []) {
      bytes += Buffer.byteLength(call.function.name) + Buffer.byteLength(call.function.arguments);
    }
  }
  return tokensOfBytes(bytes) + tokensPerMessage * request.messages.length;
}

/** The longest beginning of the text that fits into so many tokens, never cutting a character in two. */
export function cutToTokens(text: string, tokensMax: number): string {
  const bytesMax = tokensMax * bytesPerToken;
  if (text.length * 3 <= bytesMax || Buffer.byteLength(text) <= bytesMax) return text;
  let bytes = 0;
  let end = 0;
  for (const character of text) {
    bytes += Buffer.byteLength(character);
    if (bytes > bytesMax) break;
    end += character.length;
  }
  return text.slice(0, end);
}

const fillerTokensMax = 131_072;
const filler = `seas${' sea'.repeat(fillerTokensMax - 1)}`;

/** A text of exactly so many tokens; at most 131,072. */
export function fillerOf(tokens: number): string {
  return filler.slice(0, tokens * bytesPerToken);
}

export { fillerTokensMax };
