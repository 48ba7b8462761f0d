import type { budgets, OutputOf } from '@reef/contracts';
import { type Decider, refuse, unreachable } from '@reef/eventing/pure';
import type { Price } from './money.js';
import { keyOf, modelsNamed, mostPatterns, PATTERNS_MAX } from './price-book-names.js';
import {
  amountsOf,
  type Dated,
  inForce,
  isNews,
  type ModelAlias,
  type Offer,
  type PricesPublished,
  withNews,
} from './price-book-offer.js';

/** A token that costs more than a dollar, pico-USD, is a slip of the comma. */
export const PICO_PER_TOKEN_MAX = 10n ** 12n;
/** How far behind ours the clock may be by which an operator says "from now", ms. */
const CLOCK_ALLOWANCE_MS = 5 * 60_000;
/** Nobody knows prices ten years ahead; a date beyond is a slip, ms. */
const ANNOUNCED_AHEAD_MS = 10 * 365 * 24 * 60 * 60_000;
/** Prices of one model in one publication. */
const STEPS_MAX = 32;
const MODELS_MAX = 10_000;

export type Source = PricesPublished['data']['source'];

/** What a token of each model costs, and when. */
export interface PriceBook {
  /** Counts the publications; 0 before the first. */
  readonly priceVersion: number;
  /** By id in lower case, in the order of their first publication. */
  readonly models: ReadonlyMap<string, PricedModel>;
}

/** The built-in catalogue never touches what an operator published. */
export type PricedModel = { readonly model: string } & { readonly [S in Source]?: Offer | undefined };

/** An operator's publication adds to the book; the catalogue's is all that the catalogue knows. */
export interface PriceBookCommand {
  readonly type: 'publish';
  readonly data: { readonly prices: readonly NewPrice[]; readonly source: Source; readonly nowMs: number };
}
export type NewPrice = Price & {
  /** Now, where it is left out. */
  readonly validFrom?: string | undefined;
  readonly aliases?: ModelAlias[] | undefined;
};

type Announced = OutputOf<typeof budgets.queries.prices>['prices'][number];
type Published = PricesPublished['data']['prices'][number];
export type PriceBookRefusal =
  'price_negative' | 'price_absurd' | 'model_repeated' | 'valid_from_refused' | 'price_book_full';

export const priceBook: Decider<PriceBook, PriceBookCommand, PricesPublished, PriceBookRefusal> = {
  initial: { priceVersion: 0, models: new Map() },

  decide(command, state) {
    switch (command.type) {
      case 'publish': {
        const { source, nowMs } = command.data;
        const publishedAt = new Date(nowMs).toISOString();
        const prices = command.data.prices.map(({ validFrom, ...price }) => ({
          ...price,
          validFrom: validFrom ?? publishedAt,
        }));
        const refusal = refusalOf(prices, nowMs);
        if (refusal) return refusal;
        const named = byModel(prices);
        const news = [...named].flatMap(([key, steps]) =>
          isNews(state.models.get(key)?.[source], steps) ? steps : [],
        );
        const withdrawn = source === 'catalogue' ? catalogued(state).filter((model) => !named.has(keyOf(model))) : [];
        if (news.length === 0 && withdrawn.length === 0) return [];
        const data = { priceVersion: state.priceVersion + 1, source, prices: news, withdrawn, publishedAt };
        const event: PricesPublished = { type: 'PricesPublished', data };
        const after = priceBook.evolve(state, event);
        if (after.models.size > MODELS_MAX || mostPatterns(after) > PATTERNS_MAX) {
          return refuse('price_book_full', 'the price book holds no more models or patterns', {
            modelsMax: MODELS_MAX,
            patternsMax: PATTERNS_MAX,
          });
        }
        return [event];
      }
      default:
        return unreachable(command.type);
    }
  },

  evolve(state, { data: { priceVersion, source, prices, withdrawn } }) {
    const models = new Map(state.models);
    for (const [key, steps] of byModel(prices)) {
      const known = models.get(key) ?? { model: steps[0]?.model ?? key };
      models.set(key, { ...known, [source]: withNews(known[source], steps, priceVersion) });
    }
    for (const model of withdrawn) {
      const operator = models.get(keyOf(model))?.operator;
      if (operator) models.set(keyOf(model), { model, operator });
      else models.delete(keyOf(model));
    }
    return { priceVersion, models };
  },
};

/** The price of a model at a time, or null: nobody priced it, or not yet. An operator's price comes before the catalogue's. */
export function priceAt(book: PriceBook, model: string, atMs: number): Dated | null {
  for (const { operator, catalogue } of modelsNamed(book, model)) {
    const found = inForce(operator, atMs) ?? inForce(catalogue, atMs);
    if (found) return found;
  }
  return null;
}

/** What is in force at a time and what is announced for later, an operator's price in place of the catalogue's. */
export function announcedIn(book: PriceBook, atMs: number): Announced[] {
  return [...book.models.values()].flatMap(({ operator, catalogue }) => {
    const aliases = [...(operator?.aliases ?? catalogue?.aliases ?? [])];
    const told = (source: Source, { price, validFromMs, priceVersion }: Dated) => {
      return { ...price, validFrom: new Date(validFromMs).toISOString(), aliases, source, priceVersion };
    };
    const untilMs = operator?.timeline[0]?.validFromMs ?? Infinity;
    return [
      ...stepsFrom(catalogue, atMs)
        .filter((step) => Math.max(step.validFromMs, atMs) < untilMs)
        .map((step) => told('catalogue', step)),
      ...stepsFrom(operator, atMs).map((step) => told('operator', step)),
    ];
  });
}

function stepsFrom(offer: Offer | undefined, atMs: number): Dated[] {
  const now = inForce(offer, atMs);
  return [...(now ? [now] : []), ...(offer?.timeline.filter(({ validFromMs }) => validFromMs > atMs) ?? [])];
}

function refusalOf(prices: readonly Published[], nowMs: number) {
  for (const { model, validFrom, tiers = [], ...rates } of prices) {
    const amounts = [rates, ...tiers].flatMap(amountsOf);
    if (amounts.some((amountPico) => amountPico < 0n)) {
      return refuse('price_negative', 'a price is zero or more', { model });
    }
    if (amounts.some((amountPico) => amountPico > PICO_PER_TOKEN_MAX)) {
      return refuse('price_absurd', 'a token costs a dollar at most', { model });
    }
    const aheadMs = Date.parse(validFrom) - nowMs;
    if (!(aheadMs >= -CLOCK_ALLOWANCE_MS && aheadMs <= ANNOUNCED_AHEAD_MS)) {
      const message = 'a price holds from now on, or from a day within ten years';
      return refuse('valid_from_refused', message, { model, validFrom });
    }
  }
  for (const [model, steps] of byModel(prices)) {
    if (steps.length > STEPS_MAX) {
      return refuse('price_book_full', `a publication holds ${STEPS_MAX} prices of a model`, { model });
    }
    if (new Set(steps.map(({ validFrom }) => Date.parse(validFrom))).size < steps.length) {
      return refuse('model_repeated', 'a model is priced twice from the same time', { model });
    }
  }
  return null;
}

const byModel = (prices: readonly Published[]) => Map.groupBy(prices, ({ model }) => keyOf(model));

const catalogued = (book: PriceBook) =>
  [...book.models.values()].flatMap(({ model, catalogue }) => (catalogue ? [model] : []));
