import { fold } from '@reef/eventing/pure';
import type { PricesPublished } from '../src/domain/price-book-offer.js';
import { type NewPrice, priceAt, priceBook, type PriceBookCommand, type Source } from '../src/domain/price-book.js';

// What the specs of the price book have in common: it is noon, and only the price of output tells prices apart.

export const NOW = '2026-11-22T12:00:00.000Z';
export const nowMs = Date.parse(NOW);
export const minutes = (count: number) => new Date(nowMs + count * 60_000).toISOString();
export const NEW_YEAR = '2027-01-01T00:00:00.000Z';

export const price = (model: string, outputPico: bigint, more: Partial<NewPrice> = {}): NewPrice => ({
  model,
  inputPico: 1n,
  cacheReadPico: 1n,
  cacheWritePico: 1n,
  outputPico,
  ...more,
});
export const publish = (source: Source, ...prices: NewPrice[]): PriceBookCommand => ({
  type: 'publish',
  data: { source, prices, nowMs },
});
export const published = (priceVersion: number, source: Source, ...prices: NewPrice[]): PricesPublished => ({
  type: 'PricesPublished',
  data: {
    priceVersion,
    source,
    prices: prices.map((each) => ({ ...each, validFrom: each.validFrom ?? NOW })),
    withdrawn: [],
    publishedAt: NOW,
  },
});
export const bookOf = (...events: PricesPublished[]) => fold(priceBook, priceBook.initial, events);
export const outputPicoAt = (events: PricesPublished[], model: string, at = NOW) =>
  priceAt(bookOf(...events), model, Date.parse(at))?.price.outputPico ?? null;
