import { describe, expect, test } from '@jest/globals';
import { scenario } from '@reef/testing';
import { picoPerToken } from './decimal.js';
import type { Price } from './money.js';
import { priceBook, type PriceBookCommand } from './price-book.js';

const given = scenario(priceBook);
const nowMs = Date.parse('2026-11-22T14:00:00.000Z');
const price = (model: string, outputPico: bigint): Price => ({
  model,
  inputPico: 1n,
  cacheReadPico: 1n,
  cacheWritePico: 1n,
  outputPico,
});
const publish = (source: 'catalogue' | 'operator', ...prices: Price[]): PriceBookCommand => ({
  type: 'publish',
  data: { source, prices, nowMs },
});
const published = (priceVersion: number, source: 'catalogue' | 'operator', ...prices: Price[]) =>
  ({
    type: 'PricesPublished',
    data: { priceVersion, source, prices, publishedAt: '2026-11-22T14:00:00.000Z' },
  }) as const;

describe('the price book', () => {
  test('publishes what is new or changed, and counts versions', () =>
    given(published(1, 'catalogue', price('a/1', 5n), price('a/2', 6n)))
      .when(publish('catalogue', price('a/1', 5n), price('a/2', 7n), price('a/3', 8n)))
      .then(published(2, 'catalogue', price('a/2', 7n), price('a/3', 8n))));

  test('publishes the catalogue once, however many instances bring it', () =>
    given(published(1, 'catalogue', price('a/1', 5n)))
      .when(publish('catalogue', price('a/1', 5n)))
      .nothing());

  test('lets an operator overrule the catalogue, and not the other way round', () => {
    const catalogue = published(1, 'catalogue', price('a/1', 5n));
    const overruled = published(2, 'operator', price('a/1', 4n));
    given(catalogue)
      .when(publish('operator', price('a/1', 4n)))
      .then(overruled);
    given(catalogue, overruled)
      .when(publish('catalogue', price('a/1', 5n)))
      .nothing();
    given(catalogue, overruled)
      .when(publish('catalogue', price('a/1', 6n), price('a/2', 1n)))
      .then(published(3, 'catalogue', price('a/2', 1n)));
  });

  test('keeps a price that an operator confirmed, even when it equals the catalogue', () =>
    given(published(1, 'catalogue', price('a/1', 5n)))
      .when(publish('operator', price('a/1', 5n)))
      .then(published(2, 'operator', price('a/1', 5n))));

  test('refuses a price below zero and takes a price of zero', () => {
    given()
      .when(publish('operator', price('a/1', -1n)))
      .refuses('price_negative', { model: 'a/1' });
    given()
      .when(publish('operator', price('a/1', 0n)))
      .then(published(1, 'operator', price('a/1', 0n)));
  });

  test('refuses a list that names a model twice', () =>
    given()
      .when(publish('operator', price('a/1', 1n), price('a/1', 2n)))
      .refuses('model_repeated', { model: 'a/1' }));
});

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
