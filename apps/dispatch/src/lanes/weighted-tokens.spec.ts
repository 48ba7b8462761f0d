import { expect, test } from '@jest/globals';
import { weightedTokens, weightedUsage } from './weighted-tokens.js';

test('output counts twice, reasoning is output, and every kind of input counts once', () => {
  const usage = { inputTokens: 1, cacheReadTokens: 10, cacheWriteTokens: 100, cacheWrite1hTokens: 1_000 };
  expect(weightedUsage({ ...usage, outputTokens: 10_000, reasoningTokens: 20_000 })).toBe(1_111 + 2 * 30_000);
  expect(weightedTokens(5, 7)).toBe(19);
});
