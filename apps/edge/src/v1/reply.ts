import type { Refusal, Usage } from '@reef/contracts';

/** How a turn ended well. */
export interface Ending {
  readonly finishReason: 'stop' | 'length';
  /** Null where the provider never said; that is not the same as none. */
  readonly usage: Usage | null;
}

/** One turn told in one of OpenAI's shapes. One object per request: it may remember what it has said. */
export interface Reply {
  /** The first bytes of a stream. */
  opening(): string;
  text(text: string): string;
  closing(ending: Ending): string;
  /** Says in the stream that the turn failed. Nothing may follow: a clean end would pass for a short answer. */
  failing(refusal: Refusal): string;
  /** The whole answer at once, as JSON. */
  whole(text: string, ending: Ending): string;
}

export const outputTokensOf = (usage: Usage): number => usage.outputTokens + usage.reasoningTokens;
export const inputTokensOf = (usage: Usage): number =>
  // A turn from before writes for an hour were told apart has none.
  usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens + (usage.cacheWrite1hTokens ?? 0);
