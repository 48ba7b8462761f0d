import { describe, expect, test } from '@jest/globals';
import { PLAN } from '../../test/builders.js';
import { billOf } from './invoice.js';

const CENT = 10_000_000_000n;

describe('an invoice', () => {
  test.each([
    [0n, 0n],
    [CENT / 2n - 1n, 0n],
    [CENT / 2n, 1n],
    [CENT, 1n],
    [CENT + CENT / 2n - 1n, 1n],
    [CENT + CENT / 2n, 2n],
  ])('of %s pico-USD is %s cents: half a cent is rounded up', (usagePico, totalCents) =>
    expect(billOf('2026-11', PLAN, usagePico)).toMatchObject({ usagePico, totalCents }),
  );

  test('is rounded once, at its end: price, usage and mark-up are exact before', () => {
    const plan = { ...PLAN, pricePico: 19n * 100n * CENT + 1n, markupBasisPoints: 2_000 };
    // 19 USD and one picodollar; usage of 0.4 cents less one picodollar, and a fifth of it: 0.48 cents less 0.2 picodollars.
    const usagePico = (CENT * 4n) / 10n - 1n;
    expect(billOf('2026-11', plan, usagePico)).toMatchObject({ totalCents: 1_900n, markupPico: usagePico / 5n });
    const half = (CENT * 5n) / 12n;
    expect(billOf('2026-11', { ...plan, pricePico: 0n }, half)).toMatchObject({ totalCents: 0n });
    expect(billOf('2026-11', { ...plan, pricePico: 0n }, half + 1n)).toMatchObject({ totalCents: 1n });
  });

  test('is exact beyond what a floating-point number can tell', () => {
    const usagePico = 90_071_992_547_409_931n * CENT;
    expect(billOf('2026-11', PLAN, usagePico).totalCents).toBe(90_071_992_547_409_931n);
  });

  test('of a month without books owes what was used, and no price', () =>
    expect(billOf('2026-11', null, CENT)).toEqual({
      month: '2026-11',
      plan: null,
      usagePico: CENT,
      markupBasisPoints: 0,
      markupPico: 0n,
      totalCents: 1n,
    }));
});
