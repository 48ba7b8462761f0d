import { budgets, type InputOf, type OutputOf, price } from '@reef/contracts';
import { z } from 'zod';
import { LIMITS } from '../limits.js';
import { picoPerTokenOf, USD_PER_MILLION_PATTERN, usdPerMillionOf } from '../money.js';
import { andThen, ok, route } from '../http/route.js';

const perMillion = z.string().regex(USD_PER_MILLION_PATTERN, 'USD a million tokens, at most six decimals, as text');
const priceShape = z.strictObject({
  model: price.shape.model,
  inputUsdPerMillion: perMillion,
  cacheReadUsdPerMillion: perMillion,
  cacheWriteUsdPerMillion: perMillion,
  outputUsdPerMillion: perMillion,
});

export const priceRoutes = [
  route({
    method: 'GET',
    path: '/api/platform/prices',
    summary: 'The price book',
    access: { plane: 'platform' },
    answer: { status: 200, body: z.object({ priceVersion: z.int(), prices: z.array(priceShape) }) },
    handle: async (call) =>
      andThen(await call.ask(budgets.queries.prices, {}), ({ priceVersion, prices }) => ({
        priceVersion,
        prices: prices.map(priceToHttp),
      })),
  }),
  route({
    method: 'PUT',
    path: '/api/platform/prices',
    summary: 'Publish prices; models that are not named keep theirs',
    access: { plane: 'platform' },
    bodyBytesMax: LIMITS.priceBookBytes,
    body: z.strictObject({ prices: z.array(priceShape).min(1).max(5_000) }),
    answer: { status: 200, body: z.object({ priceVersion: z.int() }) },
    handle: async (call) => {
      const published = await call.ask(budgets.commands.publishPrices, {
        prices: call.body.prices.map(priceToContract),
      });
      return published.ok ? ok(published.value) : published;
    },
  }),
];

type ContractPrice = InputOf<typeof budgets.commands.publishPrices>['prices'][number];
type StoredPrice = OutputOf<typeof budgets.queries.prices>['prices'][number];

const priceToContract = (body: z.output<typeof priceShape>): ContractPrice => ({
  model: body.model,
  inputPico: picoPerTokenOf(body.inputUsdPerMillion),
  cacheReadPico: picoPerTokenOf(body.cacheReadUsdPerMillion),
  cacheWritePico: picoPerTokenOf(body.cacheWriteUsdPerMillion),
  outputPico: picoPerTokenOf(body.outputUsdPerMillion),
});

const priceToHttp = (stored: StoredPrice): z.output<typeof priceShape> => ({
  model: stored.model,
  inputUsdPerMillion: usdPerMillionOf(stored.inputPico),
  cacheReadUsdPerMillion: usdPerMillionOf(stored.cacheReadPico),
  cacheWriteUsdPerMillion: usdPerMillionOf(stored.cacheWritePico),
  outputUsdPerMillion: usdPerMillionOf(stored.outputPico),
});
