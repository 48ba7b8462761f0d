import { describe, expect, test } from '@jest/globals';
import { budgets, price as contractPrice, usage as contractUsage } from '@reef/contracts';
import { scenario } from '@reef/testing';
import {
  bookOf,
  minutes,
  NEW_YEAR,
  NOW,
  nowMs,
  outputPicoAt,
  price,
  publish,
  published,
} from '../../test/price-builders.js';
import { costPico, type Price } from './money.js';
import { PATTERNS_MAX } from './price-book-names.js';
import type { PricesPublished } from './price-book-offer.js';
import { announcedIn, type NewPrice, PICO_PER_TOKEN_MAX, priceAt, priceBook } from './price-book.js';

const given = scenario(priceBook);
const SUMMER = '2027-07-01T00:00:00.000Z';

describe('the price book', () => {
  test('publishes what is new or changed, and counts versions', () =>
    given(published(1, 'operator', price('a/1', 5n), price('a/2', 6n)))
      .when(publish('operator', price('a/1', 5n), price('a/2', 7n), price('a/3', 8n)))
      .then(published(2, 'operator', price('a/2', 7n), price('a/3', 8n))));

  test('publishes the catalogue once, however many instances bring it', () =>
    given(published(1, 'catalogue', price('a/1', 5n, { aliases: [{ dated: 'a-1' }] })))
      .when(publish('catalogue', price('a/1', 5n, { aliases: [{ dated: 'a-1' }] })))
      .nothing());

  test('takes back what the catalogue no longer has, and nothing of an operator', () => {
    const before = [
      published(1, 'catalogue', price('a/1', 5n), price('a/2', 6n)),
      published(2, 'operator', price('a/3', 7n)),
    ];
    const withdrawal = published(3, 'catalogue');
    withdrawal.data.withdrawn.push('a/2');
    given(...before)
      .when(publish('catalogue', price('a/1', 5n)))
      .then(withdrawal);
    expect(outputPicoAt([...before, withdrawal], 'a/2')).toBeNull();
    expect(outputPicoAt([...before, withdrawal], 'a/3')).toBe(7n);
  });

  test('lets an operator overrule the catalogue, and not the other way round', () => {
    const catalogue = published(1, 'catalogue', price('a/1', 5n));
    const overruled = published(2, 'operator', price('a/1', 4n));
    given(catalogue)
      .when(publish('operator', price('a/1', 4n)))
      .then(overruled);
    given(catalogue, overruled)
      .when(publish('catalogue', price('a/1', 5n)))
      .nothing();
    expect(outputPicoAt([catalogue, overruled, published(3, 'catalogue', price('a/1', 6n))], 'a/1')).toBe(4n);
  });

  test('keeps a price that an operator confirmed, even when it equals the catalogue', () =>
    given(published(1, 'catalogue', price('a/1', 5n)))
      .when(publish('operator', price('a/1', 5n)))
      .then(published(2, 'operator', price('a/1', 5n))));

  test('notices a change of any kind of token and of any tier', () => {
    const tiers = [{ inputTokensOver: 100, ...rates(2n) }];
    const before = published(1, 'operator', price('a/1', 5n, { tiers }));
    const changes: Partial<NewPrice>[] = [
      { cacheWrite1hPico: 2n },
      { reasoningPico: 6n },
      { tiers: [{ inputTokensOver: 101, ...rates(2n) }] },
      { tiers: [{ inputTokensOver: 100, ...rates(3n) }] },
      { tiers: undefined },
    ];
    for (const change of changes) {
      const after = price('a/1', 5n, { tiers, ...change });
      given(before)
        .when(publish('operator', after))
        .then(published(2, 'operator', after));
    }
    // A kind without a price of its own costs what it is a part of, said or not.
    given(before)
      .when(publish('operator', price('a/1', 5n, { tiers, cacheWrite1hPico: 1n, reasoningPico: 5n })))
      .nothing();
  });
});

describe('a price and its time', () => {
  const announced = published(1, 'operator', price('a/1', 5n), price('a/1', 8n, { validFrom: NEW_YEAR }));

  test('holds from its first instant until the next price', () => {
    expect(outputPicoAt([announced], 'a/1', minutes(-1))).toBeNull();
    expect(outputPicoAt([announced], 'a/1', NOW)).toBe(5n);
    expect(outputPicoAt([announced], 'a/1', '2026-12-31T23:59:59.999Z')).toBe(5n);
    expect(outputPicoAt([announced], 'a/1', NEW_YEAR)).toBe(8n);
  });

  test('is named by the publication it stands in, not by the newest', () => {
    const book = bookOf(announced, published(2, 'operator', price('a/2', 1n)));
    expect(priceAt(book, 'a/1', nowMs)?.priceVersion).toBe(1);
    expect(priceAt(book, 'a/2', nowMs)?.priceVersion).toBe(2);
  });

  test('that is announced gives way to a later publication from then on', () => {
    const instead = published(2, 'operator', price('a/1', 6n, { validFrom: minutes(1) }));
    given(announced)
      .when(publish('operator', price('a/1', 6n, { validFrom: minutes(1) })))
      .then(instead);
    expect(outputPicoAt([announced, instead], 'a/1', NOW)).toBe(5n);
    expect(outputPicoAt([announced, instead], 'a/1', NEW_YEAR)).toBe(6n);
    // Saying the price of today again takes an announcement back.
    given(announced)
      .when(publish('operator', price('a/1', 5n)))
      .then(published(2, 'operator', price('a/1', 5n)));
  });

  test('that is announced again is no news', () => {
    given(announced)
      .when(publish('operator', price('a/1', 5n), price('a/1', 8n, { validFrom: NEW_YEAR })))
      .nothing();
    given(announced)
      .when(publish('operator', price('a/1', 8n, { validFrom: NEW_YEAR })))
      .nothing();
    given(announced)
      .when(publish('operator', price('a/1', 8n, { validFrom: SUMMER })))
      .nothing(); // It is in force by then.
  });

  test('of the catalogue holds until an operator’s begins', () => {
    const catalogue = published(1, 'catalogue', price('a/1', 5n), price('a/1', 9n, { validFrom: SUMMER }));
    const operator = published(2, 'operator', price('a/1', 4n, { validFrom: NEW_YEAR }));
    expect(outputPicoAt([catalogue, operator], 'a/1', NOW)).toBe(5n);
    expect(outputPicoAt([catalogue, operator], 'a/1', NEW_YEAR)).toBe(4n);
    expect(outputPicoAt([catalogue, operator], 'a/1', SUMMER)).toBe(4n);
    const told = announcedIn(bookOf(catalogue, operator), nowMs).map(({ source, outputPico }) => [source, outputPico]);
    expect(told).toEqual([
      ['catalogue', 5n],
      ['operator', 4n],
    ]);
  });

  test.each([
    ['five minutes ago', minutes(-5), true],
    ['longer ago', new Date(nowMs - 5 * 60_000 - 1).toISOString(), false],
    ['in almost ten years', '2036-11-19T12:00:00.000Z', true],
    ['in more than ten years', '2036-11-21T12:00:00.000Z', false],
  ])('may begin %s: %s is %s', (_when, validFrom, allowed) => {
    const told = given().when(publish('operator', price('a/1', 1n, { validFrom })));
    if (allowed) told.then(published(1, 'operator', price('a/1', 1n, { validFrom })));
    else told.refuses('valid_from_refused', { model: 'a/1', validFrom });
  });
});

describe('a price list', () => {
  test.each<[string, Partial<Price>]>([
    ['a token', { inputPico: -1n }],
    ['a kind that is priced apart', { reasoningPico: -1n }],
    ['a longer prompt', { tiers: [{ inputTokensOver: 1, ...rates(1n), cacheWrite1hPico: -1n }] }],
  ])('is refused if %s costs less than nothing', (_what, change) =>
    given()
      .when(publish('operator', price('a/0', 0n), price('a/1', 1n, change)))
      .refuses('price_negative', { model: 'a/1' }),
  );

  test('may say zero, and one USD a token, and no more', () => {
    given()
      .when(publish('operator', price('a/1', 0n)))
      .then(published(1, 'operator', price('a/1', 0n)));
    const dearest = price('a/1', PICO_PER_TOKEN_MAX);
    given()
      .when(publish('operator', dearest))
      .then(published(1, 'operator', dearest));
    given()
      .when(publish('operator', price('a/1', PICO_PER_TOKEN_MAX + 1n)))
      .refuses('price_absurd', { model: 'a/1' });
    given()
      .when(publish('operator', price('a/1', 1n, { tiers: [{ inputTokensOver: 9, ...rates(10n ** 30n) }] })))
      .refuses('price_absurd');
  });

  test('names a model once for each time, in capitals or not', () =>
    given()
      .when(publish('operator', price('a/One', 1n), price('a/one', 2n)))
      .refuses('model_repeated', { model: 'a/one' }));

  test('has 32 prices of a model at most', () => {
    const steps = (count: number) =>
      Array.from({ length: count }, (_, step) => price('a/1', BigInt(step), { validFrom: minutes(step) }));
    given()
      .when(publish('operator', ...steps(32)))
      .then(published(1, 'operator', ...steps(32)));
    given()
      .when(publish('operator', ...steps(33)))
      .refuses('price_book_full');
  });

  test('does not fill the book with more patterns than a name can be held against', () => {
    const patterned = (count: number) =>
      Array.from({ length: count / 20 }, (_, model) =>
        price(`a/${model}`, 1n, {
          aliases: Array.from({ length: 20 }, (_unused, name) => ({ startsWith: `name-${model}-${name}-` })),
        }),
      );
    given()
      .when(publish('operator', ...patterned(PATTERNS_MAX)))
      .then(published(1, 'operator', ...patterned(PATTERNS_MAX)));
    given()
      .when(publish('operator', ...patterned(PATTERNS_MAX + 20)))
      .refuses('price_book_full');
  });
});

test('a publication as it was written before prices had a time still prices its models from then on', () => {
  const contract = budgets.events.PricesPublished;
  const written = {
    priceVersion: 1,
    source: 'catalogue',
    prices: [
      {
        model: 'openai/o3',
        inputPico: '2000000',
        cacheReadPico: '500000',
        cacheWritePico: '2000000',
        outputPico: '8000000',
      },
    ],
    publishedAt: NOW,
  };
  const event: PricesPublished = { type: 'PricesPublished', data: contract.data.parse(contract.upcast[1]!(written)) };
  expect(outputPicoAt([event], 'openai/o3', NOW)).toBe(8_000_000n);
  expect(outputPicoAt([event], 'openai/o3', minutes(-1))).toBeNull();
});

test('a price and a usage as they were written before writes for an hour and tiers still say what was charged', () => {
  const written = { model: 'openai/o3', inputPico: '2', cacheReadPico: '1', cacheWritePico: '3', outputPico: '8' };
  const used = { inputTokens: 10, cacheReadTokens: 20, cacheWriteTokens: 30, outputTokens: 40, reasoningTokens: 50 };
  expect(costPico(contractPrice.parse(written), contractUsage.parse(used))).toBe(20n + 20n + 90n + 720n);
});

describe('a published price', () => {
  const { input } = budgets.commands.publishPrices;
  const body = { model: 'a/1', inputPico: '1', cacheReadPico: '1', cacheWritePico: '1', outputPico: '1' };
  const tier = { inputTokensOver: 100, inputPico: '1', cacheReadPico: '1', cacheWritePico: '1', outputPico: '1' };
  const accepts = (change: object) => input.safeParse({ prices: [{ ...body, ...change }] }).success;

  test('is a whole number of pico-USD: a fraction is refused, not rounded', () => {
    expect(accepts({ inputPico: '1' })).toBe(true);
    for (const inputPico of ['0.5', '1e3', '', 1, `1${'0'.repeat(36)}`]) expect(accepts({ inputPico })).toBe(false);
  });

  test('has its tiers in order', () => {
    expect(accepts({ tiers: [tier, { ...tier, inputTokensOver: 101 }] })).toBe(true);
    for (const tiers of [[], [tier, tier], [tier, { ...tier, inputTokensOver: 99 }]])
      expect(accepts({ tiers })).toBe(false);
  });

  test('holds from a time, and has patterns that are more than a letter and no regular expression', () => {
    expect(accepts({ validFrom: NEW_YEAR, aliases: [{ startsWith: 'abc' }] })).toBe(true);
    for (const validFrom of ['tomorrow', '2027-01-01', '2027-02-30T00:00:00Z', 0])
      expect(accepts({ validFrom })).toBe(false);
    for (const alias of [{ startsWith: 'ab' }, { regex: '(a+)+$' }, { startsWith: 'abc', endsWith: 'def' }, {}]) {
      expect(accepts({ aliases: [alias] })).toBe(false);
    }
  });
});

function rates(pico: bigint) {
  return { inputPico: pico, cacheReadPico: pico, cacheWritePico: pico, outputPico: pico };
}
