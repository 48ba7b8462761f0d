import { readdirSync, readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { calcPrice, extractUsage, findProvider, type Usage as Report } from '@pydantic/genai-prices';
import { usage as usageContract, type Usage } from '@reef/contracts';
import { isRefusal } from '@reef/eventing/pure';
import { catalogueAt } from '../../apps/budgets/src/catalogue.js';
import { costPico, inputTokensOf, outputTokensOf } from '../../apps/budgets/src/domain/money.js';
import { priceAt, priceBook, type PriceBook } from '../../apps/budgets/src/domain/price-book.js';
import { anthropicUsage, openAiUsage } from '../../apps/dispatch/src/engines/usage.js';

// Every payload is priced twice: by Reef's price book, and by the package that the book's data comes from. README.md says what the
// reasons mean by which they may differ; a difference without a reason fails, and so does a reason without a difference.

interface Case {
  readonly name: string;
  readonly provider: string;
  readonly flavor: string;
  readonly at: string;
  readonly payload: { readonly model: string; readonly usage: unknown };
  readonly usage: Usage | null;
  readonly because: readonly string[];
}

const folder = new URL('./fixtures/', import.meta.url);
const files: Readonly<Record<string, readonly Case[]>> = Object.fromEntries(
  readdirSync(folder).map((file) => {
    const lines = readFileSync(new URL(file, folder), 'utf8').trimEnd().split('\n');
    return [file, lines.map((line) => JSON.parse(line) as Case)];
  }),
);
const cases = Object.values(files).flat();

const books = new Map<string, PriceBook>();
function bookAt(at: string): PriceBook {
  const known = books.get(at);
  if (known) return known;
  const nowMs = Date.parse(at);
  const command = { type: 'publish', data: { prices: catalogueAt(nowMs), source: 'catalogue', nowMs } } as const;
  const decision = priceBook.decide(command, priceBook.initial);
  if (isRefusal(decision)) throw new Error(decision.message);
  const book = decision.reduce((state, event) => priceBook.evolve(state, event), priceBook.initial);
  books.set(at, book);
  return book;
}

/** Reef's price of what the payload really used, pico-USD. */
function ourPico({ provider, payload, at, usage }: Case): bigint {
  const known = priceAt(bookAt(at), `${provider}/${payload.model}`, Date.parse(at));
  if (!known || !usage) throw new Error(`nothing to price: ${provider}/${payload.model}`);
  return costPico(known.price, usage);
}

/** The package's price of a report, USD as it comes: a float. */
function theirUsd({ provider, payload }: Case, report: Report, at: string): number {
  const result = calcPrice(report, payload.model, { providerId: provider, timestamp: new Date(at) });
  if (!result) throw new Error(`they do not know ${provider}/${payload.model}`);
  return result.total_price;
}

/** What they make of the payload, or null where they cannot read it. */
function theirReport({ provider, flavor, payload }: Case): Report | null {
  try {
    return extractUsage(findProvider({ providerId: provider })!, payload, flavor).usage;
  } catch {
    return null;
  }
}

/** Their counts, where the whole contains the parts, of our kinds, which are apart. */
const reportOf = (usage: Usage): Report => ({
  input_tokens: inputTokensOf(usage),
  cache_read_tokens: usage.cacheReadTokens,
  cache_write_tokens: usage.cacheWriteTokens + usage.cacheWrite1hTokens,
  cache_write_1h_tokens: usage.cacheWrite1hTokens,
  output_tokens: outputTokensOf(usage),
  output_reasoning_tokens: usage.reasoningTokens,
});

function usageOf(report: Report): Usage {
  const of = (kind: string) => report[kind] ?? 0;
  return {
    inputTokens: of('input_tokens') - of('cache_read_tokens') - of('cache_write_tokens'),
    cacheReadTokens: of('cache_read_tokens'),
    cacheWriteTokens: of('cache_write_tokens') - of('cache_write_1h_tokens'),
    cacheWrite1hTokens: of('cache_write_1h_tokens'),
    outputTokens: of('output_tokens') - of('output_reasoning_tokens'),
    reasoningTokens: of('output_reasoning_tokens'),
  };
}

const PICO = 1e12;
/** A double holds a price of some thousand USD to the picodollar; no call costs that much. */
const isSame = (pico: bigint, usd: number) => BigInt(Math.round(usd * PICO)) === pico;
const hoursOf = (at: string) =>
  Array.from({ length: 24 }, (_, hour) => `${at.slice(0, 11)}${String(hour).padStart(2, '0')}:45:00.000Z`);
const without = (report: Report, kinds: RegExp): Report =>
  Object.fromEntries(Object.entries(report).filter(([kind]) => !kinds.test(kind)));

/** Why the same usage may cost another amount: each reason says how to see that it is the whole reason. */
const PRICE_REASONS: Readonly<Record<string, (one: Case & { usage: Usage }) => boolean>> = {
  dearest_hour: (one) =>
    isSame(ourPico(one), Math.max(...hoursOf(one.at).map((hour) => theirUsd(one, reportOf(one.usage), hour)))),
  finer_than_pico: (one) => {
    const abovePico = Number(ourPico(one)) - theirUsd(one, reportOf(one.usage), one.at) * PICO;
    return abovePico > 0 && abovePico < one.usage.cacheWriteTokens;
  },
};

/** Why they may read another usage out of the same payload. */
const READING_REASONS: Readonly<Record<string, (one: Case, theirs: Report | null) => boolean>> = {
  no_reader: ({ provider }) => (findProvider({ providerId: provider })?.extractors ?? []).length === 0,
  thoughts_unread: (one, theirs) => differsBy(one, theirs, { reasoningTokens: -one.usage!.reasoningTokens }),
  hits_unread: (one, theirs) => {
    const hits = one.usage!.cacheReadTokens;
    return differsBy(one, theirs, { inputTokens: hits, cacheReadTokens: -hits });
  },
  reasoning_twice: (one, theirs) => differsBy(one, theirs, { outputTokens: one.usage!.reasoningTokens }),
  they_believe: (one, theirs) => one.usage === null && theirs !== null,
};

function differsBy({ usage }: Case, theirs: Report | null, change: Partial<Usage>): boolean {
  if (!usage || !theirs) return false;
  const kinds = Object.entries(usage) as [keyof Usage, number][];
  return kinds.every(([kind, count]) => usageOf(theirs)[kind] === count + (change[kind] ?? 0));
}

/** What dispatch makes of the payload, or null where it believes nothing and the call is estimated. It does not call `/responses`. */
function ourReading({ provider, payload: { usage } }: Case): Usage | null {
  if (typeof usage !== 'object' || usage === null) return null;
  const read = provider === 'anthropic' ? anthropicUsage : openAiUsage;
  return read(usage as Record<string, unknown>) ?? null;
}

/** Why the same tokens may cost more there: they know of something that is not a kind of token here. */
const EXTRA_REASONS: Readonly<Record<string, RegExp>> = { audio_as_text: /audio/, web_search_fee: /^web_searches$/ };

const reasonOf = ({ because }: Case, reasons: Readonly<Record<string, unknown>>): string | undefined => {
  const [reason, ...more] = because.filter((each) => each in reasons);
  if (more.length > 0) throw new Error('one reason of a kind is enough');
  return reason;
};

/** The names of the cases that a check does not hold for. */
const exceptions = (from: readonly Case[], holds: (one: Case) => boolean) =>
  from.flatMap((one) => (holds(one) ? [] : [one.name]));

describe('the payloads', () => {
  test('are more than three hundred, each under a name of its own, and every reason occurs', () => {
    expect(cases.length).toBeGreaterThanOrEqual(300);
    expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
    const known = [PRICE_REASONS, READING_REASONS, EXTRA_REASONS].flatMap((reasons) => Object.keys(reasons));
    expect([...new Set(cases.flatMap(({ because }) => because))].sort()).toEqual(known.sort());
    for (const { usage } of cases) if (usage) expect(usageContract.parse(usage)).toEqual(usage);
  });

  test('tell only kinds that add up to what was reported as the whole', () => {
    const totals = cases.flatMap(({ payload, usage }) => {
      const { total_tokens: total } = (payload.usage ?? {}) as { total_tokens?: number };
      return usage && total !== undefined ? [[inputTokensOf(usage) + outputTokensOf(usage), total]] : [];
    });
    expect(totals.length).toBeGreaterThan(250);
    expect(totals.filter(([parts, whole]) => parts !== whole)).toEqual([]);
  });
});

describe.each(Object.keys(files))('%s', (file) => {
  const all = files[file]!;
  const used = all.filter(({ usage }) => usage !== null);

  test('costs what its source says, to the picodollar', () =>
    expect(
      exceptions(used, (one) => {
        const reason = reasonOf(one, PRICE_REASONS);
        const same = isSame(ourPico(one), theirUsd(one, reportOf(one.usage!), one.at));
        return reason ? !same && PRICE_REASONS[reason]!({ ...one, usage: one.usage! }) : same;
      }),
    ).toEqual([]));

  test('is read by its source as what was used', () =>
    expect(
      exceptions(all, (one) => {
        const reason = reasonOf(one, READING_REASONS);
        const theirs = theirReport(one);
        const same = isDeepStrictEqual(theirs && usageOf(theirs), one.usage);
        return reason ? !same && READING_REASONS[reason]!(one, theirs) : same;
      }),
    ).toEqual([]));

  test('is read by dispatch as what was used', () =>
    expect(
      // Dispatch does not call `/responses`.
      exceptions(all, (one) => one.flavor === 'responses' || isDeepStrictEqual(ourReading(one), one.usage)),
    ).toEqual([]));

  test('costs the same from the payload to the price', () =>
    expect(
      exceptions(used, (one) => {
        const extra = EXTRA_REASONS[reasonOf(one, EXTRA_REASONS) ?? ''];
        if (reasonOf(one, PRICE_REASONS) ?? reasonOf(one, READING_REASONS)) return true; // Looked at above.
        const theirs = theirReport(one)!;
        const same = isSame(ourPico(one), theirUsd(one, theirs, one.at));
        return extra ? !same && isSame(ourPico(one), theirUsd(one, without(theirs, extra), one.at)) : same;
      }),
    ).toEqual([]));
});
