import { budgets } from '@reef/contracts';
import { aggregate } from '@reef/eventing';
import { budget } from './domain/budget.js';
import { planList } from './domain/plan-list.js';
import { priceBook } from './domain/price-book.js';
import { ledger } from './projections/ledger.js';
import { months } from './projections/months.js';

const { PricesPublished, PlansPublished, ...budgetEvents } = budgets.events;

/** A tenant's books for one month: `budget/2026-11`. */
export const monthlyBooks = aggregate({
  name: 'budget',
  decider: budget,
  events: budgetEvents,
  projections: [ledger, months],
  // A busy month has hundreds of thousands of events; a cold start reads at most this many.
  snapshotEvery: 500,
  snapshotShape: 3,
});

export const booksOf = (month: string) => `budget/${month}`;

/** The platform's price book. */
export const prices = aggregate({
  name: 'prices',
  decider: priceBook,
  events: { PricesPublished },
  projections: [],
});

export const PRICE_BOOK = 'prices/book';

/** The plans that operators can assign. */
export const plans = aggregate({
  name: 'plans',
  decider: planList,
  events: { PlansPublished },
  projections: [],
});

export const PLAN_LIST = 'plans/list';
