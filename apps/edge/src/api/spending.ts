import { budgets, costGroup, limit, limitStanding, pressure, telemetry } from '@reef/contracts';
import { z } from 'zod';
import { picoOf, USD_PATTERN, usdOf } from '../money.js';
import { andThen, route } from '../http/route.js';

const TENANT = '/api/tenants/{tenant}';
type Unit = z.output<typeof limit>['unit'];

const quantity = z.string().regex(USD_PATTERN, 'a decimal with at most twelve decimals, as text');
const limitShape = limit.shape;
const limitBody = z
  .strictObject({ ...limitShape, cap: quantity })
  .refine(({ unit, cap }) => unit === 'usd' || !cap.includes('.'), {
    path: ['cap'],
    message: 'tokens, messages and requests are whole numbers',
  });

export const standing = z.object({
  scope: limitStanding.shape.scope,
  scopeId: z.string().nullable(),
  window: limitStanding.shape.window,
  unit: limitStanding.shape.unit,
  cap: z.string(),
  posted: z.string(),
  held: z.string(),
  left: z.string(),
  windowEndsAt: z.string().nullable(),
  hard: z.boolean(),
});

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

const spell = (unit: Unit, amount: bigint) => (unit === 'usd' ? usdOf(amount) : amount.toString());
const read = (unit: Unit, text: string) => (unit === 'usd' ? picoOf(text) : BigInt(text));

export const limitToContract = (body: z.output<typeof limitBody>): z.output<typeof limit> => ({
  ...body,
  cap: read(body.unit, body.cap),
});

export function standingToHttp(row: z.output<typeof limitStanding>): z.output<typeof standing> {
  const { cap, posted, held, left, ...rest } = row;
  return {
    ...rest,
    cap: spell(row.unit, cap),
    posted: spell(row.unit, posted),
    held: spell(row.unit, held),
    left: spell(row.unit, left),
  };
}

export const spendingRoutes = [
  route({
    method: 'GET',
    path: `${TENANT}/budget`,
    summary: 'Every limit: its cap, what is spent, held and left, when its window ends, and the pressure',
    access: { plane: 'tenant', role: 'viewer' },
    answer: { status: 200, body: z.object({ limits: z.array(standing), pressure }) },
    handle: async (call) =>
      andThen(await call.ask(budgets.queries.balance, {}), (balance) => ({
        limits: balance.limits.map(standingToHttp),
        pressure: balance.pressure,
      })),
  }),
  route({
    method: 'PUT',
    path: `${TENANT}/limits`,
    summary: 'Replace all limits; what is spent stays spent',
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
