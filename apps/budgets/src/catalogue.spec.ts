import { describe, expect, test } from '@jest/globals';
import { budgets } from '@reef/contracts';
import { fold, isRefusal } from '@reef/eventing/pure';
import { calcPrice, findProvider, type MatchLogic } from '@pydantic/genai-prices';
import { catalogueAt, PROVIDERS } from './catalogue.js';
import type { PricesPublished } from './domain/price-book-offer.js';
import { priceAt, priceBook } from './domain/price-book.js';

const DAY = '2026-11-22';
/** Keeps the catalogue of a day as a price book that the whole test can look things up in. */
function bookAt(day: string) {
  const nowMs = Date.parse(day);
  const decision = priceBook.decide(
    { type: 'publish', data: { prices: catalogueAt(nowMs), source: 'catalogue', nowMs } },
    priceBook.initial,
  );
  if (isRefusal(decision)) throw new Error(decision.message);
  const book = fold(priceBook, priceBook.initial, decision);
  return { book, events: decision, price: (model: string, at = day) => priceAt(book, model, Date.parse(at))?.price };
}

describe('the built-in catalogue', () => {
  const today = bookAt(DAY);

  test('prices well-known models exactly, each kind of token', () => {
    expect(today.price('openai/gpt-4o-mini')).toEqual({
      model: 'openai/gpt-4o-mini',
      inputPico: 150_000n,
      cacheReadPico: 75_000n,
      cacheWritePico: 150_000n,
      outputPico: 600_000n,
    });
    expect(today.price('anthropic/claude-3-5-haiku-latest')).toEqual({
      model: 'anthropic/claude-3-5-haiku-latest',
      inputPico: 800_000n,
      cacheReadPico: 80_000n,
      cacheWritePico: 1_000_000n,
      cacheWrite1hPico: 1_600_000n,
      outputPico: 4_000_000n,
    });
    expect(today.price('openrouter/perplexity/sonar-deep-research')).toMatchObject({
      outputPico: 8_000_000n,
      reasoningPico: 3_000_000n,
    });
  });

  test('has the prices of long prompts', () =>
    expect(today.price('anthropic/claude-sonnet-4-5')?.tiers).toEqual([
      {
        inputTokensOver: 200_000,
        inputPico: 6_000_000n,
        cacheReadPico: 600_000n,
        cacheWritePico: 7_500_000n,
        cacheWrite1hPico: 12_000_000n,
        outputPico: 22_500_000n,
      },
    ]));

  test('takes the price that has begun, and announces the one to come', () => {
    const before = bookAt('2025-06-09');
    expect(before.price('openai/o3')?.inputPico).toBe(10_000_000n);
    expect(before.price('openai/o3', '2025-06-09T23:59:59.999Z')?.inputPico).toBe(10_000_000n);
    expect(before.price('openai/o3', '2025-06-10')?.inputPico).toBe(2_000_000n);
    expect(bookAt('2025-06-10').price('openai/o3')?.inputPico).toBe(2_000_000n);
  });

  test('is no news on the next day, nor when an announced price has begun', () => {
    const { book } = bookAt('2025-06-09');
    for (const day of ['2025-06-09', '2025-06-10']) {
      const nowMs = Date.parse(day);
      const models = new Set(['openai/o3']);
      const prices = catalogueAt(nowMs).filter(({ model }) => models.has(model));
      const known = { ...book, models: new Map([...book.models].filter(([key]) => models.has(key))) };
      expect(priceBook.decide({ type: 'publish', data: { prices, source: 'catalogue', nowMs } }, known)).toEqual([]);
    }
  });

  test('takes over a book in which other names were models of their own', () => {
    const price = { inputPico: 1n, cacheReadPico: 1n, cacheWritePico: 1n, outputPico: 1n };
    const models = ['openai/gpt-4o-mini', 'openai/gpt-4o-mini-2024-07-18', 'openai/gone-for-good'];
    const before: PricesPublished = {
      type: 'PricesPublished',
      data: {
        priceVersion: 1,
        source: 'catalogue',
        prices: models.map((model) => ({ model, ...price, validFrom: DAY })),
        withdrawn: [],
        publishedAt: DAY,
      },
    };
    const nowMs = Date.parse(DAY) + 1;
    const command = { type: 'publish', data: { prices: catalogueAt(nowMs), source: 'catalogue', nowMs } } as const;
    const book = fold(priceBook, priceBook.initial, [before]);
    const decision = priceBook.decide(command, book);
    if (isRefusal(decision)) throw new Error(decision.message);
    const after = fold(priceBook, book, decision);
    const found = models.map((model) => priceAt(after, model, nowMs)?.price);
    expect(found.map((each) => each?.model)).toEqual(['openai/gpt-4o-mini', 'openai/gpt-4o-mini', undefined]);
    expect(found[1]?.outputPico).toBe(600_000n);
  });

  test('takes the dearest hour of a price that varies over the day', () => {
    expect(today.price('deepseek/deepseek-chat')?.outputPico).toBe(1_100_000n);
    expect(today.price('deepseek/deepseek-v4-pro')?.cacheReadPico).toBe(44_000n);
  });

  test('leaves out what tokens of text do not price: transcription, embeddings, speech, images', () => {
    expect(today.price('openai/whisper-1')).toBeUndefined();
    expect(today.price('openai/text-embedding-3-small')).toBeUndefined();
    expect(today.price('mistral/mistral-ocr-latest')).toBeUndefined();
    expect(today.price('openai/gpt-audio')).toBeUndefined();
    expect(today.price('google/gemini-2.5-flash-image')).toBeUndefined();
  });

  test('leads every name to the model that its source prices it by, or nowhere', () => {
    const atMs = Date.parse(DAY);
    const odd: string[] = [];
    let names = 0;
    let led = 0;
    for (const provider of PROVIDERS) {
      for (const name of namesOf(provider)) {
        const theirs = calcPrice({}, name, { providerId: provider, timestamp: new Date(atMs) });
        const ours = priceAt(today.book, `${provider}/${name}`, atMs)?.price.model;
        names++;
        if (ours === undefined) continue;
        led++;
        if (theirs && ours !== `${provider}/${theirs.model.id}`) odd.push(`${provider}/${name}: ${ours}`);
      }
    }
    expect(odd).toEqual([]);
    expect(names).toBeGreaterThan(4_000);
    expect(led).toBeGreaterThan(1_500);
  });

  test('is an event as the contract has it, and fits a message', () => {
    const [event] = today.events;
    const stored = budgets.events.PricesPublished.data.encode(event!.data);
    expect(budgets.events.PricesPublished.data.parse(stored)).toEqual(event!.data);
    expect(event!.data.prices.length).toBeGreaterThan(900);
    expect(JSON.stringify(stored).length).toBeLessThan(600_000);
  });

  test('charges for the simulator, so that nothing is ever free by accident', () =>
    expect(today.price('simulator/sim-echo')?.outputPico).toBeGreaterThan(0n));
});

/** Every id, and for every rule by which the source knows a model: the text itself, and with a date after it. */
function namesOf(provider: string): Set<string> {
  const names = new Set<string>();
  const add = (match: MatchLogic): void => {
    if ('or' in match) return match.or.forEach(add);
    if ('and' in match) return match.and.forEach(add);
    const [text] = Object.values(match) as [string];
    const name = text.replace(/\\d\{(\d)\}/g, (_all, digits: string) => '20261010'.slice(0, Number(digits)));
    const plain = 'regex' in match ? name.replace(/[\^$\\]/g, '') : name;
    for (const each of [plain, `${plain}-2026-01-31`, `${plain}-20260131`]) names.add(each);
  };
  for (const { id, match } of findProvider({ providerId: provider })!.models) {
    names.add(id);
    add(match);
  }
  return names;
}
