import { z } from 'zod';
import { limit } from './limits.js';
import { amount, count, displayName, picoUsd, slug } from './values.js';

export const planId = slug;

/** One limit of a plan. Top-ups of its unit are spent once its cap is used up; a plan has one such limit of a unit at most. */
export const planLimit = limit.extend({ topUps: z.boolean().default(false) });

/** What a tenant may do at once and within any minute; null: no such limit. */
export const rates = z.strictObject({
  /** Model calls within any 60 seconds. */
  requestsPerMinute: count.min(1).max(1_000_000).nullable(),
  /** Tokens of model calls within any 60 seconds, as bounds while a call is under way and as used after it. */
  tokensPerMinute: count.min(1).max(1_000_000_000).nullable(),
  /** Turns that have a model call under way. */
  concurrentTurns: count.min(1).max(10_000).nullable(),
});

/** What a tenant has bought: limits that its owner can only narrow, features, and a price. */
export const plan = z.strictObject({
  plan: planId,
  name: displayName,
  /** What the tenant pays a month, pico-USD. */
  pricePico: picoUsd,
  /** What the tenant pays on top of what its calls cost, in hundredths of a percent; never mixed into the cost itself. */
  markupBasisPoints: count.max(100_000),
  limits: z.array(planLimit).max(20),
  rates,
  /** The tenant's share where turns wait for a model, against other tenants' weights. */
  weight: count.min(1).max(1_000),
  /** Near a cap, what is left of it lasts for about so long, seconds; 0: it is not rationed. */
  paceOverSeconds: count.max(31 * 86_400),
});
export type Plan = z.output<typeof plan>;

/** Bought on top of a plan, and spent when the plan's own allowance is used up; it does not end with a window. */
export const topUpStanding = z.object({ unit: limit.shape.unit, granted: amount, used: amount });
