import { describe, expect, test } from '@jest/globals';
import { NEW_YEAR, NOW, outputPicoAt, price, published } from '../../test/price-builders.js';
import type { ModelAlias } from './price-book-offer.js';

describe('a model’s other names', () => {
  const named = (...aliases: ModelAlias[]) => published(1, 'catalogue', price('lab/sol', 5n, { aliases }));

  test.each<[ModelAlias, string[], string[]]>([
    [{ equals: 'sun' }, ['lab/sun', 'lab/SUN'], ['lab/sun-2', 'other/sun']],
    [
      { dated: 'sol' },
      ['lab/sol-20260131', 'lab/Sol-2026-01-31'],
      ['lab/sol-2026', 'lab/sol-20260131-x', 'lab/sol-2026-0131'],
    ],
    [{ startsWith: 'sol-' }, ['lab/sol-mini'], ['lab/my-sol-mini', 'other/sol-mini']],
    [{ startsWith: 'sol-', without: '-tts' }, ['lab/sol-mini'], ['lab/sol-mini-TTS']],
    [{ endsWith: '-sol' }, ['lab/my-sol'], ['lab/my-sol-2']],
    [{ contains: 'Sol' }, ['lab/my-sol-2', 'lab/console'], ['lab/moon']],
  ])('%j', (alias, theSame, others) => {
    for (const model of theSame) expect([model, outputPicoAt([named(alias)], model)]).toEqual([model, 5n]);
    for (const model of others) expect([model, outputPicoAt([named(alias)], model)]).toEqual([model, null]);
  });

  test('come after a model’s own id, exact ones before patterns, the first before the second', () => {
    const book = published(
      1,
      'catalogue',
      price('lab/1', 1n, { aliases: [{ startsWith: 'sol' }] }),
      price('lab/2', 2n, { aliases: [{ startsWith: 'sol-m' }, { equals: 'sol-exact' }, { equals: 'sol-own' }] }),
      price('lab/sol-own', 3n),
    );
    expect(outputPicoAt([book], 'lab/sol-own')).toBe(3n);
    expect(outputPicoAt([book], 'lab/sol-exact')).toBe(2n);
    expect(outputPicoAt([book], 'lab/sol-mini')).toBe(1n);
  });

  test('from an operator come before the catalogue’s, and stay when they are not said again', () => {
    const own = published(2, 'operator', price('lab/own', 7n, { aliases: [{ startsWith: 'sol-' }] }));
    expect(outputPicoAt([named({ startsWith: 'sol-' }), own], 'lab/sol-mini')).toBe(7n);
    const dearer = published(3, 'operator', price('lab/own', 8n));
    expect(outputPicoAt([named(), own, dearer], 'lab/sol-mini')).toBe(8n);
    expect(
      outputPicoAt([own, published(3, 'operator', price('lab/own', 8n, { aliases: [] }))], 'lab/sol-mini'),
    ).toBeNull();
    // An overruled price is what the catalogue's names for the model lead to.
    expect(
      outputPicoAt([named({ dated: 'sol' }), published(2, 'operator', price('lab/sol', 3n))], 'lab/sol-20260131'),
    ).toBe(3n);
  });

  test('still lead somewhere while a price under the very name is only announced', () => {
    const own = published(2, 'operator', price('lab/sol-mini', 9n, { validFrom: NEW_YEAR }));
    const events = [named({ startsWith: 'sol-' }), own];
    expect(outputPicoAt(events, 'lab/sol-mini', NOW)).toBe(5n);
    expect(outputPicoAt(events, 'lab/sol-mini', NEW_YEAR)).toBe(9n);
  });
});
