import type { Usage } from '@reef/contracts';

/** Output takes a model longer than input: Sheng et al. count it twice, and so does this. */
const OUTPUT_WEIGHT = 2;

export const weightedTokens = (inputTokens: number, outputTokens: number) => inputTokens + OUTPUT_WEIGHT * outputTokens;

/** What a call used of its lane, weighted tokens. Kinds of tokens are disjoint. */
export function weightedUsage({ outputTokens, reasoningTokens, ...input }: Usage): number {
  const inputTokens = Object.values(input).reduce((sum, tokens) => sum + tokens, 0);
  return weightedTokens(inputTokens, outputTokens + reasoningTokens);
}
