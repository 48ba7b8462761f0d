import { describe, expect, test } from '@jest/globals';
import { fold, isRefusal } from '@reef/eventing/pure';
import fc from 'fast-check';
import { announcedIn, type NewPrice, priceAt, priceBook, type PriceBook, type Source } from './price-book.js';

const HOUR_MS = 3_600_000;
const START_MS = Date.parse('2026-11-22T00:00:00.000Z');
const MODELS = ['lab/sol', 'lab/luna', 'lab/astra'];

interface Publication {
  readonly source: Source;
  /** One an hour. */
  readonly steps: readonly { readonly model: string; readonly inHours: number; readonly outputPico: number }[];
}

const publications = fc.array(
  fc.record<Publication>({
    source: fc.constantFrom('catalogue', 'operator'),
    steps: fc.uniqueArray(
      fc.record({ model: fc.constantFrom(...MODELS), inHours: fc.nat(12), outputPico: fc.nat(3) }),
      { selector: ({ model, inHours }) => `${model} ${inHours}`, maxLength: 6 },
    ),
  }),
  { maxLength: 8 },
);

const priced = ({ steps }: Publication, nowMs: number): NewPrice[] =>
  steps.map(({ model, inHours, outputPico }) => ({
    model,
    inputPico: 1n,
    cacheReadPico: 1n,
    cacheWritePico: 1n,
    outputPico: BigInt(outputPico),
    ...(inHours > 0 && { validFrom: new Date(nowMs + inHours * HOUR_MS).toISOString() }),
  }));

const publish = (book: PriceBook, publication: Publication, nowMs: number) => {
  const data = { source: publication.source, prices: priced(publication, nowMs), nowMs };
  const decision = priceBook.decide({ type: 'publish', data }, book);
  if (isRefusal(decision)) throw new Error(decision.message);
  return decision;
};

/**
 * The same question, answered from the publications as they came: of a source's publications that say anything of the model by
 * then, the last one counts; the catalogue's last one counts alone.
 */
function toldAt(told: readonly Publication[], model: string, atMs: number): bigint | null {
  for (const source of ['operator', 'catalogue'] as const) {
    const from = source === 'catalogue' ? told.findLastIndex((each) => each.source === source) : 0;
    // What the catalogue left out once is forgotten; what it has had ever since goes back as far.
    const since = source === 'catalogue' ? keptSince(told, model, from) : 0;
    for (let index = told.length - 1; index >= since && from >= 0; index--) {
      const publication = told[index]!;
      if (publication.source !== source) continue;
      const begun = publication.steps
        .map((step) => ({ ...step, fromMs: START_MS + (index + step.inHours) * HOUR_MS }))
        .filter((step) => step.model === model && step.fromMs <= atMs)
        .sort((a, b) => b.fromMs - a.fromMs);
      if (begun[0]) return BigInt(begun[0].outputPico);
    }
  }
  return null;
}

function keptSince(told: readonly Publication[], model: string, last: number): number {
  let since = told.length;
  for (let index = last; index >= 0; index--) {
    const { source, steps } = told[index]!;
    if (source !== 'catalogue') continue;
    if (!steps.some((step) => step.model === model)) break;
    since = index;
  }
  return since;
}

describe('whatever is published, the price book', () => {
  test('says at every time what the last publication that speaks of it said', () =>
    fc.assert(
      fc.property(publications, fc.nat(24), (told, inHours) => {
        let book = priceBook.initial;
        told.forEach((publication, index) => {
          book = fold(priceBook, book, publish(book, publication, START_MS + index * HOUR_MS));
        });
        const atMs = START_MS + (told.length + inHours) * HOUR_MS;
        for (const model of MODELS) {
          expect(priceAt(book, model, atMs)?.price.outputPico ?? null).toBe(toldAt(told, model, atMs));
        }
      }),
      { numRuns: 1_000 },
    ));

  test('has no news when the same is said again at once, and lists what it would charge', () =>
    fc.assert(
      fc.property(publications, (told) => {
        let book = priceBook.initial;
        told.forEach((publication, index) => {
          const nowMs = START_MS + index * HOUR_MS;
          book = fold(priceBook, book, publish(book, publication, nowMs));
          expect(publish(book, publication, nowMs)).toEqual([]);
          for (const { model, validFrom, outputPico } of announcedIn(book, nowMs)) {
            const fromMs = Math.max(nowMs, Date.parse(validFrom));
            expect(priceAt(book, model, fromMs)?.price.outputPico).toBe(outputPico);
          }
        });
      }),
    ));
});
