import type { budgets, EventOf } from '@reef/contracts';
import { type Decider, refuse, unreachable } from '@reef/eventing/pure';
import type { Price } from './money.js';

type PricesPublished = EventOf<typeof budgets, 'PricesPublished'>;
type Source = PricesPublished['data']['source'];

/** What a token of each model costs today. */
export interface PriceBook {
  /** Counts the publications; 0 before the first. */
  readonly priceVersion: number;
  readonly prices: ReadonlyMap<string, { readonly price: Price; readonly source: Source }>;
}

/** The built-in catalogue never overwrites what an operator published, however often it is read again. */
export interface PriceBookCommand {
  readonly type: 'publish';
  readonly data: { readonly prices: readonly Price[]; readonly source: Source; readonly nowMs: number };
}

export const priceBook: Decider<PriceBook, PriceBookCommand, PricesPublished, 'price_negative' | 'model_repeated'> = {
  initial: { priceVersion: 0, prices: new Map() },

  decide(command, state) {
    switch (command.type) {
      case 'publish': {
        const { prices, source, nowMs } = command.data;
        const models = new Set<string>();
        for (const price of prices) {
          if (amountsOf(price).some((amountPico) => amountPico < 0n)) {
            return refuse('price_negative', 'a price is zero or more', { model: price.model });
          }
          if (models.has(price.model))
            return refuse('model_repeated', 'a model is named twice', { model: price.model });
          models.add(price.model);
        }
        const news = prices.filter((price) => {
          const known = state.prices.get(price.model);
          if (!known) return true;
          if (source === 'catalogue') return known.source === 'catalogue' && !isSame(known.price, price);
          return known.source !== source || !isSame(known.price, price);
        });
        if (news.length === 0) return [];
        const publishedAt = new Date(nowMs).toISOString();
        const data = { priceVersion: state.priceVersion + 1, source, prices: news, publishedAt };
        return [{ type: 'PricesPublished', data }];
      }
      default:
        return unreachable(command.type);
    }
  },

  evolve(state, { data: { priceVersion, source, prices } }) {
    const book = new Map(state.prices);
    for (const price of prices) book.set(price.model, { price, source });
    return { priceVersion, prices: book };
  },
};

function amountsOf({ inputPico, cacheReadPico, cacheWritePico, outputPico }: Price): bigint[] {
  return [inputPico, cacheReadPico, cacheWritePico, outputPico];
}

function isSame(a: Price, b: Price): boolean {
  const other = amountsOf(b);
  return amountsOf(a).every((amountPico, kind) => amountPico === other[kind]);
}
