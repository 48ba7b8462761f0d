import type { budgets, EventOf } from '@reef/contracts';
import type { Price, Rates } from './money.js';

export type PricesPublished = EventOf<typeof budgets, 'PricesPublished'>;
type Published = PricesPublished['data']['prices'][number];
export type ModelAlias = NonNullable<Published['aliases']>[number];

/** What one source says about one model: its prices by the time from which they hold, and its other names. */
export interface Offer {
  /** By ascending `validFromMs`; each holds until the next. */
  readonly timeline: readonly Dated[];
  /** Absent until the source named some, or none. */
  readonly aliases?: readonly ModelAlias[] | undefined;
}

export interface Dated {
  readonly price: Price;
  readonly validFromMs: number;
  /** The publication it came with. */
  readonly priceVersion: number;
}

/** A model's prices that stay in memory; older ones are in the events. */
const DATED_PRICES_MAX = 64;

/** The price that holds at a time; null before the first. */
export function inForce(offer: Offer | undefined, atMs: number): Dated | null {
  return offer?.timeline.findLast(({ validFromMs }) => validFromMs <= atMs) ?? null;
}

/** One model's part of a publication takes the place of all that was announced from its first price on. */
export function withNews(offer: Offer | undefined, news: readonly Published[], priceVersion: number): Offer {
  const dated = news
    .map(({ validFrom, aliases: _aliases, ...price }) => ({ price, validFromMs: Date.parse(validFrom), priceVersion }))
    .sort((a, b) => a.validFromMs - b.validFromMs);
  const fromMs = dated[0]?.validFromMs ?? Infinity;
  const aliases = news.find((each) => each.aliases)?.aliases;
  const earlier = offer?.timeline.filter(({ validFromMs }) => validFromMs < fromMs) ?? [];
  return { timeline: [...earlier, ...dated].slice(-DATED_PRICES_MAX), aliases: aliases ?? offer?.aliases };
}

/** Whether a publication would change what an offer says from the publication's first price on. */
export function isNews(offer: Offer | undefined, news: readonly Published[]): boolean {
  if (!offer) return true;
  const after = withNews(offer, news, 0);
  const fromMs = Math.min(...news.map(({ validFrom }) => Date.parse(validFrom)));
  return (
    !isSameTimeline(since(offer, fromMs), since(after, fromMs)) || spelled(offer.aliases) !== spelled(after.aliases)
  );
}

const spelled = (aliases: readonly ModelAlias[] | undefined) => JSON.stringify(aliases ?? null);

/** The steps of an offer from a time on, without those that change nothing. */
function since(offer: Offer, fromMs: number): Dated[] {
  const now = inForce(offer, fromMs);
  const later = offer.timeline.filter(({ validFromMs }) => validFromMs > fromMs);
  const steps = now ? [{ ...now, validFromMs: fromMs }, ...later] : later;
  return steps.filter(({ price }, index) => !isSamePrice(steps[index - 1]?.price, price));
}

function isSameTimeline(a: readonly Dated[], b: readonly Dated[]): boolean {
  return (
    a.length === b.length &&
    a.every((step, index) => step.validFromMs === b[index]?.validFromMs && isSamePrice(step.price, b[index].price))
  );
}

function isSamePrice(a: Price | undefined, b: Price): boolean {
  return a !== undefined && spelling(a) === spelling(b);
}

const spelling = ({ tiers = [], ...rates }: Price) =>
  [amountsOf(rates), ...tiers.map((tier) => [tier.inputTokensOver, amountsOf(tier)])].join(' ');

/** Every amount of a price, the absent kinds as what they are charged by. */
export function amountsOf(rates: Rates): bigint[] {
  const { inputPico, cacheReadPico, cacheWritePico, cacheWrite1hPico, outputPico, reasoningPico } = rates;
  return [
    inputPico,
    cacheReadPico,
    cacheWritePico,
    cacheWrite1hPico ?? cacheWritePico,
    outputPico,
    reasoningPico ?? outputPico,
  ];
}
