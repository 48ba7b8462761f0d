import { describe, expect, test } from '@jest/globals';
import type { Usage } from '@reef/contracts';
import fc from 'fast-check';
import {
  costPico,
  dearestInputPico,
  dearestOutputPico,
  inputTokensOf,
  outputTokensOf,
  type Price,
  ratesFor,
} from './money.js';

const nothing: Usage = {
  inputTokens: 0,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  cacheWrite1hTokens: 0,
  outputTokens: 0,
  reasoningTokens: 0,
};
const FLAT: Price = {
  model: 'lab/flat',
  inputPico: 2n,
  cacheReadPico: 3n,
  cacheWritePico: 5n,
  cacheWrite1hPico: 7n,
  outputPico: 11n,
  reasoningPico: 13n,
};
const long = { inputPico: 20n, cacheReadPico: 30n, cacheWritePico: 50n, outputPico: 110n };
const LONG: Price = {
  ...FLAT,
  tiers: [
    { inputTokensOver: 100, ...long },
    { inputTokensOver: 200, inputPico: 1n, cacheReadPico: 1n, cacheWritePico: 1n, outputPico: 1n },
  ],
};

describe('what a call costs', () => {
  test('is its tokens, each kind at its own price', () =>
    expect(
      costPico(FLAT, {
        inputTokens: 10,
        cacheReadTokens: 20,
        cacheWriteTokens: 30,
        cacheWrite1hTokens: 40,
        outputTokens: 50,
        reasoningTokens: 60,
      }),
    ).toBe(20n + 60n + 150n + 280n + 550n + 780n));

  test('counts a kind without a price of its own as what it is a part of', () => {
    const { cacheWrite1hPico: _hour, reasoningPico: _reasoning, ...price } = FLAT;
    expect(costPico(price, { ...nothing, cacheWrite1hTokens: 10, reasoningTokens: 10 })).toBe(50n + 110n);
  });

  test('is all at the price of long prompts as soon as the whole input, cached or not, is a token over', () => {
    const cached = { ...nothing, inputTokens: 10, cacheReadTokens: 40, cacheWriteTokens: 20, cacheWrite1hTokens: 30 };
    expect(costPico(LONG, cached)).toBe(20n + 120n + 100n + 210n);
    expect(costPico(LONG, { ...cached, inputTokens: 11 })).toBe(220n + 1_200n + 1_000n + 1_500n);
    expect(costPico(LONG, { ...nothing, inputTokens: 101, reasoningTokens: 1 })).toBe(2_020n + 110n);
  });

  test('does not depend on the length of the answer for its tier', () =>
    expect(costPico(LONG, { ...nothing, inputTokens: 100, outputTokens: 1_000 })).toBe(200n + 11_000n));

  test('is exact where a float is not', () => {
    const price: Price = { ...FLAT, inputPico: 10n ** 12n };
    expect(costPico(price, { ...nothing, inputTokens: 9_007_199, outputTokens: 1 })).toBe(9_007_199_000_000_000_011n);
  });
});

describe('the bound of a call', () => {
  test('counts the tiers that its input can reach, and no others', () => {
    expect(dearestInputPico(LONG, 100)).toBe(7n);
    expect(dearestInputPico(LONG, 101)).toBe(50n);
    expect(dearestInputPico(LONG)).toBe(50n);
    expect(dearestOutputPico(LONG, 100)).toBe(13n);
    expect(dearestOutputPico(LONG, 101)).toBe(110n);
    expect(dearestOutputPico(FLAT)).toBe(13n);
  });

  test('is never exceeded, whatever is cached, written, answered or thought', () => {
    const pico = fc.bigInt(0n, 10n ** 12n);
    const rates = {
      inputPico: pico,
      cacheReadPico: pico,
      cacheWritePico: pico,
      cacheWrite1hPico: fc.option(pico, { nil: undefined }),
      outputPico: pico,
      reasoningPico: fc.option(pico, { nil: undefined }),
    };
    const tiers = fc.uniqueArray(fc.record({ inputTokensOver: fc.nat(3_000), ...rates }), {
      selector: ({ inputTokensOver }) => inputTokensOver,
      maxLength: 4,
    });
    const prices = fc
      .record({ model: fc.constant('lab/any'), ...rates, tiers })
      .map((price): Price => ({ ...price, tiers: price.tiers.sort((a, b) => a.inputTokensOver - b.inputTokensOver) }));
    const tokens = fc.nat(1_000);
    const usages = fc.record({
      inputTokens: tokens,
      cacheReadTokens: tokens,
      cacheWriteTokens: tokens,
      cacheWrite1hTokens: tokens,
      outputTokens: tokens,
      reasoningTokens: tokens,
    });
    fc.assert(
      fc.property(prices, usages, fc.nat(500), fc.nat(500), (price, usage, inputToSpare, outputToSpare) => {
        const inputTokensMax = inputTokensOf(usage) + inputToSpare;
        const outputTokensMax = outputTokensOf(usage) + outputToSpare;
        const bound =
          BigInt(inputTokensMax) * dearestInputPico(price, inputTokensMax) +
          BigInt(outputTokensMax) * dearestOutputPico(price, inputTokensMax);
        expect(costPico(price, usage) <= bound).toBe(true);
        expect(ratesFor(price, inputTokensMax)).toBeDefined();
      }),
      { numRuns: 1_000 },
    );
  });
});
