import {
  type ConditionalPrice,
  findProvider,
  type MatchLogic,
  type ModelInfo,
  type ModelPrice,
} from '@pydantic/genai-prices';
import { picoPerToken } from './domain/decimal.js';
import type { Price, Rates } from './domain/money.js';
import { keyOf } from './domain/price-book-names.js';
import type { ModelAlias } from './domain/price-book-offer.js';
import type { NewPrice } from './domain/price-book.js';

/** Providers whose models are priced by tokens; the data of `@pydantic/genai-prices` (MIT) is by Pydantic and contributors. */
export const PROVIDERS = [
  'openai', 'anthropic', 'google', 'mistral', 'deepseek', 'groq', 'x-ai', 'cohere', 'together', 'fireworks',
  'cerebras', 'moonshotai', 'minimax', 'zai', 'openrouter',
]; // prettier-ignore

/** The simulated provider costs a little, so that budgets can be watched at work without a real one. */
const SIMULATOR: Price[] = ['simulator/sim-echo', 'simulator/sim-script'].map((model) => ({
  model,
  inputPico: 100_000n,
  cacheReadPico: 25_000n,
  cacheWritePico: 125_000n,
  outputPico: 400_000n,
}));

/**
 * The prices of well-known models as of a time, and those that are announced for later, with the models' other names. Where a
 * price varies by the hour of the day, the dearest hour counts. A model that is not priced by its tokens alone is left out: one
 * without a price of input or output, one with a fee a call, and one that puts out images or speech.
 */
export function catalogueAt(nowMs: number): NewPrice[] {
  const found = new Map<string, NewPrice[]>(SIMULATOR.map((price) => [price.model, [price]]));
  for (const provider of PROVIDERS) {
    for (const model of findProvider({ providerId: provider })?.models ?? []) {
      const id = `${provider}/${model.id}`;
      const steps = isName(model.id) && !found.has(keyOf(id)) ? stepsOf(model, id, nowMs) : [];
      if (steps.length > 0) found.set(keyOf(id), steps);
    }
  }
  return [...found.values()].flat();
}

const isName = (text: string) => /^[\x21-\x7e]{1,120}$/.test(text);

/** The price in force, which also carries the model's other names, and those that are announced. */
function stepsOf(model: ModelInfo, id: string, nowMs: number): NewPrice[] {
  const prices: ConditionalPrice[] = Array.isArray(model.prices) ? model.prices : [{ prices: model.prices }];
  const announced = prices.map(beginsMs).filter((beginMs) => beginMs > nowMs);
  const steps = [nowMs, ...new Set(announced.sort((a, b) => a - b))].flatMap((atMs) => {
    const price = priceOf(pricesInForce(prices, atMs), id);
    return price ? [{ ...price, ...(atMs > nowMs && { validFrom: new Date(atMs).toISOString() }) }] : [];
  });
  const [first, ...later] = steps;
  return first
    ? [{ ...first, aliases: aliasesIn(model.match).filter((alias) => !isItself(alias, model.id)) }, ...later]
    : [];
}

const isItself = (alias: ModelAlias, id: string) => 'equals' in alias && keyOf(alias.equals) === keyOf(id);

const beginsMs = ({ constraint }: ConditionalPrice): number =>
  constraint?.type === 'start_date' ? Date.parse(constraint.start_date) : -Infinity;

/** The last price that has begun, and those of certain hours. */
function pricesInForce(prices: readonly ConditionalPrice[], atMs: number): ModelPrice[] {
  const isHourly = ({ constraint }: ConditionalPrice) => constraint?.type === 'time_of_date';
  const begun = prices.filter((price) => !isHourly(price) && beginsMs(price) <= atMs);
  const last = begun.reduce<ConditionalPrice | null>((a, b) => (a && beginsMs(a) > beginsMs(b) ? a : b), null);
  return [...(last ? [last] : []), ...prices.filter(isHourly)].map((price) => price.prices);
}

function priceOf(inForce: readonly ModelPrice[], model: string): Price | null {
  if (inForce.length === 0 || !inForce.every(isByTokens)) return null;
  const lengths = new Set(inForce.flatMap((prices) => Object.values(prices).flatMap(lengthsIn)));
  const tiers = [...lengths]
    .sort((a, b) => a - b)
    .map((inputTokensOver) => ({ inputTokensOver, ...ratesAt(inForce, inputTokensOver) }));
  return { model, ...ratesAt(inForce, 0), ...(tiers.length > 0 && { tiers }) };
}

/** Whether input and output have a price, and nothing that is not counted here has one: a call, an image or speech that is put out. */
function isByTokens(prices: ModelPrice): boolean {
  const others = Object.keys(prices).filter(
    (kind) => kind === 'requests_kcount' || /^output_(audio|image|video)_/.test(kind),
  );
  return prices['input_mtok'] !== undefined && prices['output_mtok'] !== undefined && others.length === 0;
}

type Kind = ModelPrice[string];

const lengthsIn = (kind: Kind): number[] => (typeof kind === 'object' ? kind.tiers.map(({ start }) => start) : []);

/** The dearest of several prices for a prompt that is longer than `inputTokens`; 0 for the base. */
function ratesAt(inForce: readonly ModelPrice[], inputTokens: number): Rates {
  // A kind that is not priced apart is charged as the one it is a part of.
  const dearest = (...kinds: [string, ...string[]]) =>
    inForce
      .map((prices) => picoAt(kinds.map((kind) => prices[kind]).find(isPriced), inputTokens))
      .reduce((a, b) => (b > a ? b : a));
  const apart = (kind: string) => inForce.some((prices) => isPriced(prices[kind]));
  return {
    inputPico: dearest('input_mtok'),
    cacheReadPico: dearest('cache_read_mtok', 'input_mtok'),
    cacheWritePico: dearest('cache_write_mtok', 'input_mtok'),
    ...(apart('cache_write_1h_mtok') && {
      cacheWrite1hPico: dearest('cache_write_1h_mtok', 'cache_write_mtok', 'input_mtok'),
    }),
    outputPico: dearest('output_mtok'),
    ...(apart('output_reasoning_mtok') && { reasoningPico: dearest('output_reasoning_mtok', 'output_mtok') }),
  };
}

const isPriced = (kind: Kind) => kind !== undefined;

function picoAt(kind: Kind, inputTokens: number): bigint {
  if (kind === undefined) throw new Error('a kind of tokens without a price');
  if (typeof kind === 'number') return picoPerToken(String(kind));
  const reached = kind.tiers.filter(({ start }) => start <= inputTokens);
  const last = reached.reduce((a, b) => (b.start >= a.start ? b : a), { start: 0, price: kind.base });
  return picoPerToken(String(last.price));
}

/** `^gpt-6-sol-\d{8}$` and `^gpt-6-sol-\d{4}-\d{2}-\d{2}$`: the only regular expressions that are taken over. */
const DATED = /^\^((?:[\w/-]|\\\.)+)-\\d\{(?:8|4\}-\\d\{2\}-\\d\{2)\}\$$/;
/** A name without a part in the middle, in capitals or not. */
const WITHOUT_TTS = '^(?!.*-[tT][tT][sS](?:$|-))';

/** Other names, as far as they are exact or a pattern that we know; a name that is left out is refused, not guessed. */
function aliasesIn(match: MatchLogic): ModelAlias[] {
  if ('or' in match) return match.or.flatMap(aliasesIn);
  if ('and' in match) {
    const [first, second] = match.and;
    const speaks = first && second && 'starts_with' in first && 'regex' in second && second.regex === WITHOUT_TTS;
    return speaks && match.and.length === 2 ? [{ startsWith: first.starts_with, without: '-tts' }] : [];
  }
  if ('equals' in match) return isName(match.equals) ? [{ equals: match.equals }] : [];
  if ('starts_with' in match) return [{ startsWith: match.starts_with }];
  if ('ends_with' in match) return [{ endsWith: match.ends_with }];
  if ('contains' in match) return [{ contains: match.contains }];
  const dated = DATED.exec(match.regex)?.[1];
  return dated ? [{ dated: dated.replaceAll('\\.', '.') }] : [];
}
