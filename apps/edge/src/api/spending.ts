import { budgets, costGroup, pressure, rateStanding, telemetry, timeZone } from '@reef/contracts';
import { z } from 'zod';
import { centsOf, usdOf } from '../money.js';
import { andThen, route } from '../http/route.js';
import {
  limitBody,
  limitToContract,
  limitToHttp,
  planLimitBody,
  standing,
  standingToHttp,
  topUp,
  topUpToHttp,
} from './amounts.js';

const TENANT = '/api/tenants/{tenant}';
const { plan } = budgets.queries.balance.output.shape;
const { month, markupBasisPoints } = budgets.queries.invoice.output.shape;

const tokens = z.object({
  input: z.int(),
  cacheRead: z.int(),
  cacheWrite: z.int(),
  output: z.int(),
  reasoning: z.int(),
});
const costRow = z
  .object({ costUsd: z.string(), calls: z.int(), turns: z.int(), tokens })
  .catchall(z.string())
  .describe('Also has one field named like `groupBy`');

const dayRange = { from: telemetry.queries.costs.input.shape.from, to: telemetry.queries.costs.input.shape.to };

export const spendingRoutes = [
  route({
    method: 'GET',
    path: `${TENANT}/budget`,
    summary: 'The plan, every limit with what is spent, held and left of it, top-ups, rates, and the pressure',
    access: { plane: 'tenant', role: 'viewer' },
    answer: {
      status: 200,
      body: z.object({
        plan,
        timeZone: z.string(),
        limits: z.array(standing),
        topUps: z.array(topUp),
        rates: z.array(rateStanding),
        pressure,
      }),
    },
    handle: async (call) =>
      andThen(await call.ask(budgets.queries.balance, {}), (balance) => ({
        ...balance,
        limits: balance.limits.map(standingToHttp),
        topUps: balance.topUps.map(topUpToHttp),
      })),
  }),
  route({
    method: 'PUT',
    path: `${TENANT}/limits`,
    summary: "Replace the tenant's own limits, which narrow its plan's; what is spent stays spent",
    access: { plane: 'tenant', role: 'admin' },
    body: z.strictObject({ limits: z.array(limitBody).max(50) }),
    answer: { status: 200, body: z.object({ limits: z.array(limitBody) }) },
    handle: async (call) =>
      andThen(
        await call.ask(budgets.commands.setLimits, { limits: call.body.limits.map(limitToContract) }),
        () => call.body,
      ),
  }),
  route({
    method: 'GET',
    path: `${TENANT}/limits`,
    summary: "The tenant's own limits, as PUT takes them, and its plan's",
    access: { plane: 'tenant', role: 'viewer' },
    answer: {
      status: 200,
      body: z.object({ limits: z.array(limitBody), planLimits: z.array(planLimitBody) }),
    },
    handle: async (call) =>
      andThen(await call.ask(budgets.queries.limits, {}), ({ limits, planLimits }) => ({
        limits: limits.map(limitToHttp),
        planLimits: planLimits.map(limitToHttp),
      })),
  }),
  route({
    method: 'PUT',
    path: `${TENANT}/time-zone`,
    summary: 'By whose clock hours, days, weeks and months begin from now on',
    access: { plane: 'tenant', role: 'admin' },
    body: z.strictObject({ timeZone }),
    answer: { status: 200, body: z.object({ timeZone }) },
    handle: async (call) => andThen(await call.ask(budgets.commands.setTimeZone, call.body), () => call.body),
  }),
  route({
    method: 'GET',
    path: `${TENANT}/invoice`,
    summary: 'What is owed for a month (UTC): exact amounts, and their sum rounded to the cent',
    access: { plane: 'tenant', role: 'viewer' },
    query: z.strictObject({ month }),
    answer: {
      status: 200,
      body: z.object({
        month,
        plan: plan.extend({ priceUsd: z.string() }).nullable(),
        usageUsd: z.string(),
        markupBasisPoints,
        markupUsd: z.string(),
        totalUsd: z.string(),
      }),
    },
    handle: async (call) =>
      andThen(await call.ask(budgets.queries.invoice, call.query), (invoice) => ({
        month: invoice.month,
        plan: invoice.plan && {
          plan: invoice.plan.plan,
          name: invoice.plan.name,
          priceUsd: usdOf(invoice.plan.pricePico),
        },
        usageUsd: usdOf(invoice.usagePico),
        markupBasisPoints: invoice.markupBasisPoints,
        markupUsd: usdOf(invoice.markupPico),
        totalUsd: centsOf(invoice.totalCents),
      })),
  }),
  route({
    method: 'GET',
    path: `${TENANT}/costs`,
    summary: 'What calls cost between two days (UTC, both included), most expensive first',
    access: { plane: 'tenant', role: 'viewer' },
    query: z.strictObject({ ...dayRange, groupBy: costGroup.default('agent') }),
    answer: { status: 200, body: z.object({ items: z.array(costRow), totalUsd: z.string() }) },
    handle: async (call) => {
      const costs = await call.ask(telemetry.queries.costs, call.query);
      return andThen(costs, ({ items, totalPico }) => ({
        items: items.map(({ key, costPico, calls, turns, tokens: used }) => ({
          [call.query.groupBy]: key,
          costUsd: usdOf(costPico),
          calls,
          turns,
          tokens: used,
        })) as z.input<typeof costRow>[],
        totalUsd: usdOf(totalPico),
      }));
    },
  }),
];

export const platformCostRoutes = [
  route({
    method: 'GET',
    path: '/api/platform/costs',
    summary: 'Which tenant generates most of our cost',
    access: { plane: 'platform' },
    query: z.strictObject({
      ...dayRange,
      groupBy: z.literal('tenant').default('tenant'),
      limit: z.coerce.number().int().min(1).max(1_000).default(100),
    }),
    answer: {
      status: 200,
      body: z.object({
        items: z.array(z.object({ tenant: z.string(), costUsd: z.string(), calls: z.int(), turns: z.int() })),
        totalUsd: z.string(),
      }),
    },
    handle: async (call) => {
      const { groupBy: _tenant, ...query } = call.query;
      return andThen(await call.ask(telemetry.queries.costsByTenant, query), ({ items, totalPico }) => ({
        items: items.map(({ costPico, ...item }) => ({ ...item, costUsd: usdOf(costPico) })),
        totalUsd: usdOf(totalPico),
      }));
    },
  }),
];
