import { z } from 'zod';
import { command, event, query } from './declare.js';
import { count, emptyObject, instant, picoUsd } from './values.js';

/** `provider/model`, as agents name it. */
export const modelId = z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}\/[\x21-\x7e]{1,120}$/, 'use provider/model');

/** Disjoint kinds of tokens: they add up to what the provider reported. */
export const usage = z.strictObject({
  inputTokens: count,
  cacheReadTokens: count,
  /** Written to a cache for five minutes. */
  cacheWriteTokens: count,
  /** Written to a cache for an hour. Usage from before it was told apart has none. */
  cacheWrite1hTokens: count.default(0),
  outputTokens: count,
  reasoningTokens: count,
});
export type Usage = z.output<typeof usage>;

/** pico-USD a token, one for each kind. */
const tokenPrices = {
  inputPico: picoUsd,
  cacheReadPico: picoUsd,
  /** Written to a cache for five minutes. */
  cacheWritePico: picoUsd,
  /** Written to a cache for an hour; where it has no price of its own, as for five minutes. */
  cacheWrite1hPico: picoUsd.optional(),
  outputPico: picoUsd,
  /** Where it has no price of its own, as output. */
  reasoningPico: picoUsd.optional(),
};

const priceTier = z.strictObject({ inputTokensOver: count.min(1).max(10_000_000), ...tokenPrices });

export const price = z.strictObject({
  model: modelId,
  ...tokenPrices,
  /** The prices of **all** tokens of a call whose input, cached or not, is longer than `inputTokensOver`; shortest first. */
  tiers: z
    .array(priceTier)
    .min(1)
    .max(8)
    .refine(
      (tiers) => isAscending(tiers.map(({ inputTokensOver }) => inputTokensOver)),
      'name each length once, in order',
    )
    .optional(),
});

function isAscending(numbers: readonly number[]): boolean {
  return numbers.every((number, index) => index === 0 || number > (numbers[index - 1] ?? 0));
}

const name = z.string().regex(/^[\x21-\x7e]{1,120}$/, 'printable ASCII without spaces');
/** A part of a name; one of fewer characters would match nearly everything. */
const part = name.min(3);

/**
 * Another name of a priced model, at the same provider, in capitals or not: exactly, or by a pattern that is looked up in
 * time proportional to the name. `dated` is the name followed by `-20260131` or `-2026-01-31`.
 */
export const modelAlias = z.union([
  z.strictObject({ equals: name }),
  z.strictObject({ dated: part }),
  z.strictObject({ startsWith: part, without: part.optional() }),
  z.strictObject({ endsWith: part }),
  z.strictObject({ contains: part }),
]);

const aliases = z.array(modelAlias).max(40);

/** Under the `platform` context, by an operator: a new version of the price book. Models that are not named keep their price. */
export const publishPrices = command({
  input: z.strictObject({
    prices: z
      .array(
        price.extend({
          /** From when the price holds; now, where it is left out. */
          validFrom: instant.optional(),
          /** Replace the model's other names, said once for a model; where they are left out, it keeps them. */
          aliases: aliases.optional(),
        }),
      )
      .min(1)
      .max(5_000),
  }),
  output: z.object({ priceVersion: count }),
  refusals: ['price_negative', 'price_absurd', 'model_repeated', 'valid_from_refused', 'price_book_full'],
});

/** Under the `platform` context: what is in force and what is announced, in the book's order. */
export const prices = query({
  input: emptyObject,
  output: z.object({
    priceVersion: count,
    prices: z.array(
      price.extend({
        validFrom: instant,
        aliases,
        source: z.enum(['catalogue', 'operator']),
        /** The publication that the price stands in; reservations name it. */
        priceVersion: count,
      }),
    ),
  }),
});

/** New or changed prices. What an operator published is not overwritten by the built-in catalogue. */
export const PricesPublished = event(
  z.object({
    priceVersion: count,
    source: z.enum(['catalogue', 'operator']),
    /** They take the place of what the source had announced for the same models from the first `validFrom` on. */
    prices: z.array(price.extend({ validFrom: instant, aliases: aliases.optional() })),
    /** Models that the catalogue does not price any more. */
    withdrawn: z.array(modelId),
    publishedAt: instant,
  }),
  {
    schemaVersion: 2,
    // In version 1 every price held at once and for good, and no model had a second name.
    upcast: {
      1: (data) => ({
        ...data,
        prices: (data['prices'] as object[]).map((each) => ({ ...each, validFrom: data['publishedAt'] })),
        withdrawn: [],
      }),
    },
  },
);
