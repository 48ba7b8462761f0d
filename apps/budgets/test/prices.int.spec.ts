import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { budgets, type InputOf, PLATFORM } from '@reef/contracts';
import { newId } from '@reef/messaging';
import { startService, type TestService } from '@reef/testing';
import { BudgetsModule, definition } from '../src/budgets.module.js';

const { commands, queries, events } = budgets;
type Price = InputOf<typeof commands.publishPrices>['prices'][number];
const OPERATOR = { role: 'operator' } as const;

let service: TestService;
beforeAll(async () => {
  service = await startService(definition, BudgetsModule);
}, 60_000);
afterAll(async () => {
  await service[Symbol.asyncDispose]();
});

const NOTHING = {
  inputTokens: 0,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  cacheWrite1hTokens: 0,
  outputTokens: 0,
  reasoningTokens: 0,
};

/** A price of one pico-USD for every token that is put in, and two for one that is put out. */
const priceOf = (change: Partial<Price> = {}): Price => ({
  model: `custom/${newId()}`,
  inputPico: 1n,
  cacheReadPico: 1n,
  cacheWritePico: 1n,
  outputPico: 2n,
  ...change,
});

async function publish(...prices: Price[]): Promise<number> {
  const published = await service.send(commands.publishPrices, PLATFORM, { prices }, OPERATOR);
  if (!published.ok) throw new Error(published.message);
  return published.value.priceVersion;
}

async function listed(model: string) {
  const book = await service.send(queries.prices, PLATFORM, {}, OPERATOR);
  if (!book.ok) throw new Error(book.message);
  return book.value.prices.filter((price) => price.model === model);
}

async function reserve(tenant: string, model: string, inputTokensMax: number) {
  const reservationId = newId();
  const answer = await service.send(commands.reserve, tenant, {
    reservationId,
    attribution: {
      turnId: newId(),
      agent: 'main',
      user: 'ada',
      session: 'agent:main:main',
      keyId: null,
      model,
      source: 'chat',
    },
    inputTokensMax,
    outputTokensMax: 100,
    firstOfTurn: true,
    worker: newId(),
    expiresAt: new Date(Date.now() + 60_000).toISOString(),
  });
  return { reservationId, answer };
}

/** What the bound of a call is, pico-USD, or why it was refused. */
async function heldOf(model: string, inputTokensMax: number) {
  const { answer } = await reserve(service.tenant(), model, inputTokensMax);
  return answer.ok ? answer.value.heldPico : answer.code;
}

async function settle(
  tenant: string,
  { reservationId, answer }: Awaited<ReturnType<typeof reserve>>,
  used: Partial<typeof NOTHING>,
) {
  if (!answer.ok) throw new Error(answer.message);
  const settled = await service.send(commands.settle, tenant, {
    reservationId,
    window: answer.value.window,
    outcome: 'completed',
    usage: { ...NOTHING, ...used },
    outputTokensSeen: 0,
  });
  return settled.ok ? settled.value.costPico : settled.code;
}

describe('the price book', () => {
  test('knows the catalogue from the start, also by a model’s other names', async () => {
    // 10 tokens may be written to a cache for an hour, 6 USD a million; 100 are put out at 15.
    expect(await heldOf('anthropic/claude-sonnet-4-5', 10)).toBe(1_560_000_000n);
    expect(await heldOf('anthropic/claude-sonnet-4-5-20250929', 10)).toBe(1_560_000_000n);
    expect(await heldOf('anthropic/claude-sonnet', 10)).toBe('unpriced_model');
  });

  test('holds a long prompt at its tier, and settles it at what it was', async () => {
    const tenant = service.tenant();
    const tier = { inputTokensOver: 1_000, inputPico: 10n, cacheReadPico: 5n, cacheWritePico: 10n, outputPico: 20n };
    const price = priceOf({ tiers: [tier], cacheWrite1hPico: 3n, reasoningPico: 4n });
    const priceVersion = await publish(price);
    // At most 1,000 tokens: 3 each if cached for an hour, 4 each if thought. One more may reach the tier.
    expect(await heldOf(price.model, 1_000)).toBe(3_400n);
    const held = await reserve(tenant, price.model, 1_001);
    const told = await service.nextEvent(events.Reserved, tenant);
    expect(told.data).toMatchObject({
      heldPico: '12010',
      priceVersion,
      price: { tiers: [{ inputTokensOver: 1_000, inputPico: '10' }] },
    });
    const long = { inputTokens: 900, cacheReadTokens: 101, outputTokens: 3, reasoningTokens: 2 };
    expect(await settle(tenant, held, long)).toBe(9_000n + 505n + 100n);
  });

  test('announces a price without charging it yet, and shows both', async () => {
    const today = priceOf();
    const [, name] = today.model.split('/') as [string, string];
    const validFrom = new Date(Date.now() + 3_600_000).toISOString();
    const aliases = [{ equals: `also-${name}` }];
    const priceVersion = await publish({ ...today, aliases }, { ...today, outputPico: 9n, validFrom });
    expect(await heldOf(today.model, 1)).toBe(201n);
    expect(await heldOf(`custom/also-${name}`, 1)).toBe(201n);
    expect(await listed(today.model)).toMatchObject([
      { outputPico: 2n, source: 'operator', priceVersion, aliases },
      { outputPico: 9n, validFrom, priceVersion },
    ]);
  });

  test('keeps the price of a reservation that was made before it changed', async () => {
    const tenant = service.tenant();
    const price = priceOf();
    await publish(price);
    const held = await reserve(tenant, price.model, 10);
    await publish({ ...price, inputPico: 1_000n });
    expect(await settle(tenant, held, { inputTokens: 10 })).toBe(10n);
    expect(await heldOf(price.model, 10)).toBe(10_200n);
  });

  test.each<[string, Price[], string]>([
    ['a price below zero', [priceOf({ reasoningPico: -1n })], 'price_negative'],
    ['more than a dollar a token', [priceOf({ inputPico: 10n ** 12n + 1n })], 'price_absurd'],
    ['a price from last year', [priceOf({ validFrom: '2020-01-01T00:00:00.000Z' })], 'valid_from_refused'],
    ['a model twice', [priceOf({ model: 'custom/twice' }), priceOf({ model: 'custom/TWICE' })], 'model_repeated'],
  ])('refuses %s', async (_what, prices, code) =>
    expect(await service.send(commands.publishPrices, PLATFORM, { prices }, OPERATOR)).toMatchObject({ code }),
  );

  test('takes over a book as it was written when prices had no time and names were models', async () => {
    const price = { inputPico: '1', cacheReadPico: '1', cacheWritePico: '1', outputPico: '1' };
    const models = ['openai/gpt-4o-mini', 'openai/gpt-4o-mini-2024-07-18', 'openai/gone-for-good'];
    const written = {
      priceVersion: 1,
      source: 'catalogue',
      prices: models.map((model) => ({ model, ...price })),
      publishedAt: '2026-01-01T00:00:00.000Z',
    };
    await service.owner.query(
      `update es.event set schema_version = 1, data = $1 where tenant_id = $2 and stream_id = 'prices/book' and version = 1`,
      [written, PLATFORM],
    );
    await service.restart();
    expect(await heldOf('openai/gpt-4o-mini', 1)).toBe(150_000n + 60_000_000n);
    expect(await heldOf('openai/gpt-4o-mini-2024-07-18', 1)).toBe(150_000n + 60_000_000n);
    expect(await heldOf('openai/gone-for-good', 1)).toBe('unpriced_model');
    const newest = (await service.eventsOf(PLATFORM)).filter(({ type }) => type === 'PricesPublished').at(-1);
    expect(newest?.data['withdrawn']).toEqual(models.slice(1));
  });

  test('says nothing that its events do not', async () => expect(await service.replayCheck()).toEqual([]));
});
