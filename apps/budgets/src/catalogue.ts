import {
  type ConditionalPrice,
  findProvider,
  type MatchLogic,
  type ModelInfo,
  type ModelPrice,
} from '@pydantic/genai-prices';
import { picoPerToken } from './domain/decimal.js';
import type { Price } from './domain/money.js';

/** Providers whose models are priced by tokens; the data of `@pydantic/genai-prices` (MIT) is by Pydantic and contributors. */
const PROVIDERS = [
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
 * The prices of well-known models, by exact id, as of a time. Prices by length of prompt count at their base, prices by hour
 * of day at their dearest; fees for anything but tokens are left out, and a model priced by such fees alone too.
 */
export function catalogueAt(nowMs: number): Price[] {
  const found = new Map(SIMULATOR.map((price) => [price.model, price]));
  for (const provider of PROVIDERS) {
    const models = findProvider({ providerId: provider })?.models ?? [];
    // A model's own id comes before another's alias.
    for (const ids of [(model: ModelInfo) => [model.id], (model: ModelInfo) => aliasesIn(model.match)]) {
      for (const model of models) {
        for (const id of ids(model)) {
          const price = priceAt(model, `${provider}/${id}`, nowMs);
          if (price && !found.has(price.model) && isModelId(id)) found.set(price.model, price);
        }
      }
    }
  }
  return [...found.values()];
}

const isModelId = (id: string) => /^[\x21-\x7e]{1,120}$/.test(id);

function aliasesIn(match: MatchLogic): string[] {
  if ('equals' in match) return [match.equals];
  return 'or' in match ? match.or.flatMap(aliasesIn) : [];
}

function priceAt(model: ModelInfo, id: string, nowMs: number): Price | null {
  const inForce = pricesInForce(model.prices, nowMs);
  const dearest = (kind: string) =>
    inForce.map((prices) => picoOf(prices, kind)).reduce((a, b) => (b !== null && (a === null || b > a) ? b : a), null);
  const inputPico = dearest('input_mtok');
  const outputPico = dearest('output_mtok');
  if (inputPico === null || outputPico === null) return null;
  if (inForce.some((prices) => prices['requests_kcount'] !== undefined)) return null; // A fee a call, which tokens do not show.
  return {
    model: id,
    inputPico,
    cacheReadPico: dearest('cache_read_mtok') ?? inputPico,
    cacheWritePico: dearest('cache_write_mtok') ?? inputPico,
    outputPico,
  };
}

/** The last price that has begun, and those of certain hours. */
function pricesInForce(prices: ModelInfo['prices'], nowMs: number): ModelPrice[] {
  if (!Array.isArray(prices)) return [prices];
  const beginsMs = ({ constraint }: ConditionalPrice) =>
    constraint?.type === 'start_date' ? Date.parse(constraint.start_date) : -Infinity;
  const dated = prices.filter(({ constraint }) => constraint?.type !== 'time_of_date');
  const [last] = dated.filter((price) => beginsMs(price) <= nowMs).sort((a, b) => beginsMs(b) - beginsMs(a) || 0);
  const hourly = prices.filter(({ constraint }) => constraint?.type === 'time_of_date');
  return [...(last ? [last] : []), ...hourly].map((price) => price.prices);
}

function picoOf(prices: ModelPrice, kind: string): bigint | null {
  const price = prices[kind];
  if (price === undefined) return null;
  return picoPerToken(String(typeof price === 'number' ? price : price.base));
}
