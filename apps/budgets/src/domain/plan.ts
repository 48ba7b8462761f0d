import { type budgets, type EventOf, type Plan } from '@reef/contracts';
import { refuse } from '@reef/eventing/pure';
import { checkedLimits, nameOf } from './limits.js';

export type PlanInForce = EventOf<typeof budgets, 'WindowOpened'>['data']['plan'];

/** Turns at once, where a plan names no number: far beyond what people do, and little enough to bound a loop near its cap. */
export const CONCURRENT_TURNS_DEFAULT = 200;

/** Near a cap, what is left lasts this long, seconds: people hardly notice, and a loop gives its owner the time to look. */
const PACE_OVER_SECONDS = 3_600;

const UNLIMITED = { requestsPerMinute: null, tokensPerMinute: null, concurrentTurns: null };
const USD = 1_000_000_000_000n;
const ofTenant = { scope: 'tenant', scopeId: null, hard: true, topUps: false } as const;
const plain = { pricePico: 0n, markupBasisPoints: 0, weight: 1, paceOverSeconds: PACE_OVER_SECONDS } as const;

/**
 * What a tenant has before an operator assigns a plan. Five dollars a month let a newcomer try a small model for weeks, and are
 * the most that a stolen key or a runaway loop can cost; 10,000 requests a day stop a loop over a free model.
 */
export const STARTER: Plan = {
  ...plain,
  plan: 'starter',
  name: 'Starter',
  limits: [
    { ...ofTenant, window: 'month', unit: 'usd', cap: 5n * USD },
    { ...ofTenant, window: 'day', unit: 'requests', cap: 10_000n },
  ],
  rates: UNLIMITED,
};

/** Plans that every deployment begins with: examples of what plans can say, to be changed or left alone. */
export const SHIPPED_PLANS: readonly Plan[] = [
  STARTER,
  // No limit but the tenant's own: for a deployment's own tenants.
  { ...plain, plan: 'unmetered', name: 'Unmetered', limits: [], rates: UNLIMITED },
  // Prepaid: nothing is included, every call is paid from what was topped up.
  {
    ...plain,
    plan: 'pay-as-you-go',
    name: 'Pay as you go',
    markupBasisPoints: 2_000,
    limits: [{ ...ofTenant, window: 'month', unit: 'usd', cap: 0n, topUps: true }],
    rates: { requestsPerMinute: 300, tokensPerMinute: 1_000_000, concurrentTurns: 50 },
  },
  // So many messages a month whatever they cost, with a ceiling that no number of long messages breaks.
  {
    ...plain,
    plan: 'messages-500',
    name: '500 messages',
    pricePico: 19n * USD,
    limits: [
      { ...ofTenant, window: 'month', unit: 'messages', cap: 500n, topUps: true },
      { ...ofTenant, window: 'month', unit: 'usd', cap: 15n * USD },
    ],
    rates: { requestsPerMinute: 60, tokensPerMinute: null, concurrentTurns: 5 },
  },
  // One person's agent at a monthly price, with an allowance of tokens.
  {
    ...plain,
    plan: 'private-agent',
    name: 'Private agent',
    pricePico: 29n * USD,
    weight: 2,
    limits: [
      { ...ofTenant, window: 'month', unit: 'tokens', cap: 20_000_000n, topUps: true },
      { ...ofTenant, window: 'month', unit: 'usd', cap: 25n * USD },
    ],
    rates: { requestsPerMinute: 120, tokensPerMinute: 500_000, concurrentTurns: 10 },
  },
  // A pool of credit each month, which is spent before what was topped up.
  {
    ...plain,
    plan: 'monthly-credit',
    name: 'Monthly credit',
    pricePico: 20n * USD,
    markupBasisPoints: 1_000,
    limits: [{ ...ofTenant, window: 'month', unit: 'usd', cap: 18n * USD, topUps: true }],
    rates: { requestsPerMinute: 300, tokensPerMinute: 1_000_000, concurrentTurns: 20 },
  },
];

/** A plan as it is kept, or what is wrong with it. */
export function checkedPlan(plan: Plan) {
  const limits = checkedLimits(plan.limits);
  if ('ok' in limits) return limits;
  const extended = new Set<string>();
  for (const limit of limits) {
    if (!limit.topUps) continue;
    if (limit.scope !== 'tenant' || !limit.hard || extended.has(limit.unit)) {
      return refuse('top_ups_misplaced', 'top-ups extend one hard limit of the tenant for each unit', nameOf(limit));
    }
    extended.add(limit.unit);
  }
  return { ...plan, limits: [...limits] };
}
