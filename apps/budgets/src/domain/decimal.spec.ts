import { describe, expect, test } from '@jest/globals';
import { picoPerToken } from './decimal.js';

describe('a decimal price', () => {
  test.each([
    ['0.15', 150_000n],
    ['10', 10_000_000n],
    ['0.000001', 1n],
    ['1e-6', 1n],
    ['2.5e1', 25_000_000n],
    ['0', 0n],
  ])('%s USD a million tokens is exactly %s pico-USD a token', (text, pico) => expect(picoPerToken(text)).toBe(pico));

  test('finer than a pico-USD is rounded up, never down', () => {
    expect(picoPerToken('0.0000001')).toBe(1n);
    expect(picoPerToken('0.08333333333333334')).toBe(83_334n);
  });

  test.each(['', '-1', 'NaN', '1.', '.5'])('%j is not a price', (text) =>
    expect(() => picoPerToken(text)).toThrow(RangeError),
  );
});
