import { describe, expect, test } from '@jest/globals';
import { NOTHING_USED } from './engine.js';
import { anthropicUsage } from './usage.js';

describe('what Anthropic reports', () => {
  const report = { input_tokens: 10, output_tokens: 5, cache_read_input_tokens: 200, cache_creation_input_tokens: 30 };
  const usage = { ...NOTHING_USED, inputTokens: 10, outputTokens: 5, cacheReadTokens: 200 };

  test('tells writes to the cache for an hour apart from those for minutes', () => {
    const cache_creation = { ephemeral_5m_input_tokens: 20, ephemeral_1h_input_tokens: 10 };
    expect(anthropicUsage({ ...report, cache_creation })).toEqual({
      ...usage,
      cacheWriteTokens: 20,
      cacheWrite1hTokens: 10,
    });
    expect(anthropicUsage(report)).toEqual({ ...usage, cacheWriteTokens: 30 });
    expect(anthropicUsage({ ...report, cache_creation: null })).toEqual({ ...usage, cacheWriteTokens: 30 });
  });

  test('counts thinking within the output', () => {
    const output_tokens_details = { thinking_tokens: 2 };
    expect(anthropicUsage({ ...report, output_tokens_details })).toMatchObject({ outputTokens: 3, reasoningTokens: 2 });
  });

  test.each([
    ['more thinking than output', { ...report, output_tokens_details: { thinking_tokens: 6 } }],
    ['a split that is another sum', { ...report, cache_creation: { ephemeral_5m_input_tokens: 29 } }],
    ['a negative number', { ...report, cache_read_input_tokens: -1 }],
    ['no output', { ...report, output_tokens: null }],
    ['no input', { output_tokens: 5 }],
  ])('is no usage with %s', (_what, partial) => {
    expect(anthropicUsage(partial)).toBeUndefined();
  });
});
