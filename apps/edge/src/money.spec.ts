import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { centsOf, picoOf, picoPerTokenOf, USD_PATTERN, usdOf, usdPerMillionOf } from './money.js';

describe('money', () => {
  test('a pico-USD is the twelfth decimal of a dollar', () => {
    expect(usdOf(1n)).toBe('0.000000000001');
    expect(picoOf('0.000000000001')).toBe(1n);
  });

  test('a dollar and a half has no trailing zeros', () => {
    expect(usdOf(1_500_000_000_000n)).toBe('1.5');
    expect(usdOf(0n)).toBe('0');
    expect(usdOf(-250_000_000_000n)).toBe('-0.25');
  });

  test('twelve decimals are money, thirteen are refused', () => {
    expect(USD_PATTERN.test('0.123456789012')).toBe(true);
    expect(USD_PATTERN.test('0.1234567890123')).toBe(false);
    for (const text of ['', '.5', '1.', '-1', '1e3', '0x1', ' 1', '1,5']) expect(USD_PATTERN.test(text)).toBe(false);
  });

  test('fifteen cents a million tokens is 150,000 pico-USD a token', () => {
    expect(picoPerTokenOf('0.15')).toBe(150_000n);
    expect(usdPerMillionOf(150_000n)).toBe('0.15');
  });

  test('no amount is changed by being written down and read again', () => {
    fc.assert(fc.property(fc.bigInt({ min: 0n, max: 10n ** 29n }), (pico) => picoOf(usdOf(pico)) === pico));
  });
});

test('an invoice has two decimals, however little it is', () =>
  expect([0n, 5n, 99n, 100n, 123_456n].map(centsOf)).toEqual(['0.00', '0.05', '0.99', '1.00', '1234.56']));
