import { z } from 'zod';
import { command, event, query } from './declare.js';
import { count, emptyObject, instant, picoUsd } from './values.js';

/** `provider/model`, as agents name it. */
export const modelId = z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}\/[\x21-\x7e]{1,120}$/, 'use provider/model');

/** Disjoint kinds of tokens: they add up to what the provider reported. */
export const usage = z.strictObject({
  inputTokens: count,
  cacheReadTokens: count,
  cacheWriteTokens: count,
  outputTokens: count,
  reasoningTokens: count,
});
export type Usage = z.output<typeof usage>;

export const price = z.strictObject({
  model: modelId,
  /** pico-USD a token, one for each kind. */
  inputPico: picoUsd,
  cacheReadPico: picoUsd,
  cacheWritePico: picoUsd,
  outputPico: picoUsd,
});

/** Under the `platform` context, by an operator: a new version of the price book. Models that are not named keep their price. */
export const publishPrices = command({
  input: z.strictObject({ prices: z.array(price).min(1).max(5_000) }),
  output: z.object({ priceVersion: count }),
  refusals: ['price_negative', 'model_repeated'],
});

/** Under the `platform` context. */
export const prices = query({
  input: emptyObject,
  output: z.object({ priceVersion: count, prices: z.array(price) }),
});

/** New or changed prices. What an operator published is not overwritten by the built-in catalogue. */
export const PricesPublished = event(
  z.object({
    priceVersion: count,
    source: z.enum(['catalogue', 'operator']),
    prices: z.array(price),
    publishedAt: instant,
  }),
);
