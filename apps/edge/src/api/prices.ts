import { budgets, type InputOf, type OutputOf } from '@reef/contracts';
import { z } from 'zod';
import { LIMITS } from '../limits.js';
import { picoPerTokenOf, USD_PER_MILLION_PATTERN, usdPerMillionOf } from '../money.js';
import { andThen, route } from '../http/route.js';

type NewPrice = InputOf<typeof budgets.commands.publishPrices>['prices'][number];
type StoredPrice = OutputOf<typeof budgets.queries.prices>['prices'][number];

const inputs = budgets.commands.publishPrices.input.shape.prices;
const { model, validFrom, aliases } = inputs.element.shape;
const stored = budgets.queries.prices.output.shape.prices.element.shape;

const perMillion = z.string().regex(USD_PER_MILLION_PATTERN, 'USD a million tokens, at most six decimals, as text');
const rates = {
  inputUsdPerMillion: perMillion,
  cacheReadUsdPerMillion: perMillion,
  cacheWriteUsdPerMillion: perMillion.describe('Written to a cache for five minutes'),
  cacheWrite1hUsdPerMillion: perMillion.optional().describe('For an hour; absent: as for five minutes'),
  outputUsdPerMillion: perMillion,
  reasoningUsdPerMillion: perMillion.optional().describe('Absent: as output'),
};
const tier = z.strictObject({ inputTokensOver: z.int().min(1).max(10_000_000), ...rates });
const tiers = z
  .array(tier)
  .min(1)
  .max(8)
  .optional()
  .describe('Prices of all tokens of a call whose input is longer, shortest first');

const newPrice = z.strictObject({
  model,
  ...rates,
  tiers,
  validFrom: validFrom.describe('Absent: from now on'),
  aliases: aliases.describe('Other names at the same provider; absent: as they were'),
});
const listedPrice = z.object({
  model,
  ...rates,
  tiers,
  validFrom: stored.validFrom,
  aliases: stored.aliases,
  source: stored.source,
  priceVersion: z.int(),
});

export const priceRoutes = [
  route({
    method: 'GET',
    path: '/api/platform/prices',
    summary: 'The price book: what is in force, and what is announced',
    access: { plane: 'platform' },
    answer: { status: 200, body: z.object({ priceVersion: z.int(), prices: z.array(listedPrice) }) },
    handle: async (call) =>
      andThen(await call.ask(budgets.queries.prices, {}), ({ priceVersion, prices }) => ({
        priceVersion,
        prices: prices.map(priceToHttp),
      })),
  }),
  route({
    method: 'PUT',
    path: '/api/platform/prices',
    summary: 'Publish prices, from now or from a day on; models that are not named keep theirs',
    access: { plane: 'platform' },
    bodyBytesMax: LIMITS.priceBookBytes,
    body: z.strictObject({ prices: z.array(newPrice).min(1).max(5_000) }),
    answer: { status: 200, body: z.object({ priceVersion: z.int() }) },
    handle: (call) => call.ask(budgets.commands.publishPrices, { prices: call.body.prices.map(priceToContract) }),
  }),
];

type HttpRates = Omit<z.output<typeof tier>, 'inputTokensOver'>;
type StoredRates = Omit<NonNullable<StoredPrice['tiers']>[number], 'inputTokensOver'>;

const priceToContract = (body: z.output<typeof newPrice>): NewPrice => ({
  model: body.model,
  ...ratesToContract(body),
  ...(body.tiers && {
    tiers: body.tiers.map((each) => ({ inputTokensOver: each.inputTokensOver, ...ratesToContract(each) })),
  }),
  ...(body.validFrom && { validFrom: body.validFrom }),
  ...(body.aliases && { aliases: body.aliases }),
});

const ratesToContract = (body: HttpRates): StoredRates => ({
  inputPico: picoPerTokenOf(body.inputUsdPerMillion),
  cacheReadPico: picoPerTokenOf(body.cacheReadUsdPerMillion),
  cacheWritePico: picoPerTokenOf(body.cacheWriteUsdPerMillion),
  ...(body.cacheWrite1hUsdPerMillion && { cacheWrite1hPico: picoPerTokenOf(body.cacheWrite1hUsdPerMillion) }),
  outputPico: picoPerTokenOf(body.outputUsdPerMillion),
  ...(body.reasoningUsdPerMillion && { reasoningPico: picoPerTokenOf(body.reasoningUsdPerMillion) }),
});

const priceToHttp = (price: StoredPrice): z.output<typeof listedPrice> => ({
  model: price.model,
  ...ratesToHttp(price),
  ...(price.tiers && {
    tiers: price.tiers.map((each) => ({ inputTokensOver: each.inputTokensOver, ...ratesToHttp(each) })),
  }),
  validFrom: price.validFrom,
  aliases: price.aliases,
  source: price.source,
  priceVersion: price.priceVersion,
});

const ratesToHttp = (price: StoredRates): HttpRates => ({
  inputUsdPerMillion: usdPerMillionOf(price.inputPico),
  cacheReadUsdPerMillion: usdPerMillionOf(price.cacheReadPico),
  cacheWriteUsdPerMillion: usdPerMillionOf(price.cacheWritePico),
  ...(price.cacheWrite1hPico !== undefined && { cacheWrite1hUsdPerMillion: usdPerMillionOf(price.cacheWrite1hPico) }),
  outputUsdPerMillion: usdPerMillionOf(price.outputPico),
  ...(price.reasoningPico !== undefined && { reasoningUsdPerMillion: usdPerMillionOf(price.reasoningPico) }),
});
