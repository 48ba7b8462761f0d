import { budgets, plan as storedPlan, type Plan, planId, tenantId, uuid } from '@reef/contracts';
import { z } from 'zod';
import { andThen, ok, route } from '../http/route.js';
import { idFrom } from '../ids.js';
import { picoOf, USD_PATTERN, usdOf } from '../money.js';
import {
  isSpelledFor,
  limitToContract,
  limitToHttp,
  planLimitBody,
  quantity,
  read,
  topUp,
  topUpToHttp,
  WHOLE_NUMBERS,
} from './amounts.js';
import { asTenant } from './platform.js';

const TENANT = '/api/platform/tenants/{tenant}';
const params = z.strictObject({ tenant: tenantId });

const { plan, name, markupBasisPoints, rates, weight, paceOverSeconds } = storedPlan.shape;
const planBody = z.strictObject({
  plan,
  name,
  priceUsd: z.string().regex(USD_PATTERN, 'USD a month, at most twelve decimals, as text'),
  markupBasisPoints: markupBasisPoints.describe('Paid on top of what calls cost, in hundredths of a percent'),
  limits: z.array(planLimitBody).max(20),
  rates,
  weight: weight.describe('The share where turns wait for a model, against other tenants’'),
  paceOverSeconds: paceOverSeconds.describe('Near a cap, what is left lasts about so long; 0: it is not rationed'),
});
const plans = z.object({ plans: z.array(planBody) });

const topUpBody = z
  .strictObject({
    topUpId: uuid.optional().describe('Absent: from the Idempotency-Key, or new'),
    unit: budgets.commands.topUp.input.shape.unit,
    amount: quantity,
  })
  .refine(({ unit, amount }) => isSpelledFor(unit, amount), { path: ['amount'], message: WHOLE_NUMBERS });

export const planRoutes = [
  route({
    method: 'GET',
    path: '/api/platform/plans',
    summary: 'The plans that tenants can be given',
    access: { plane: 'platform' },
    answer: { status: 200, body: plans },
    handle: async (call) =>
      andThen(await call.ask(budgets.queries.plans, {}), (known) => ({ plans: known.plans.map(planToHttp) })),
  }),
  route({
    method: 'PUT',
    path: '/api/platform/plans',
    summary: 'Publish new or changed plans; tenants keep theirs as it was when they were given it',
    access: { plane: 'platform' },
    body: z.strictObject({ plans: z.array(planBody).min(1).max(100) }),
    answer: { status: 200, body: plans },
    handle: async (call) =>
      andThen(
        await call.ask(budgets.commands.publishPlans, { plans: call.body.plans.map(planToContract) }),
        () => call.body,
      ),
  }),
  route({
    method: 'PUT',
    path: `${TENANT}/plan`,
    summary: 'Give a tenant a plan, from now on; what it has spent counts against it',
    access: { plane: 'platform' },
    params,
    body: z.strictObject({ plan: planId }),
    answer: { status: 200, body: z.object({ plan: planId }) },
    handle: async (call) => {
      const as = await asTenant(call, call.params.tenant);
      if (!as.ok) return as;
      return andThen(await call.ask(budgets.commands.assignPlan, call.body, { as: as.value }), () => call.body);
    },
  }),
  route({
    method: 'POST',
    path: `${TENANT}/top-ups`,
    summary: 'Give a tenant more of a unit, once for each topUpId; it is spent when its plan’s own is used up',
    access: { plane: 'platform' },
    params,
    body: topUpBody,
    answer: { status: 201, body: z.object({ topUpId: uuid, topUps: z.array(topUp) }) },
    handle: async (call) => {
      const as = await asTenant(call, call.params.tenant);
      if (!as.ok) return as;
      const { unit, amount, topUpId = idFrom(['top-up', call.commandId]) } = call.body;
      const input = { topUpId, unit, amount: read(unit, amount) };
      const toppedUp = await call.ask(budgets.commands.topUp, input, { as: as.value });
      if (!toppedUp.ok) return toppedUp;
      return ok({ topUpId, topUps: toppedUp.value.topUps.map(topUpToHttp) });
    },
  }),
];

function planToContract({ priceUsd, limits, ...body }: z.output<typeof planBody>): Plan {
  return { ...body, pricePico: picoOf(priceUsd), limits: limits.map(limitToContract) };
}

function planToHttp({ pricePico, limits, ...known }: Plan): z.output<typeof planBody> {
  return { ...known, priceUsd: usdOf(pricePico), limits: limits.map(limitToHttp) };
}
