import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { budgets, type InputOf, PLATFORM } from '@reef/contracts';
import { newId } from '@reef/messaging';
import { startService as startInstance } from '@reef/service';
import { startService, type TestService } from '@reef/testing';
import { BudgetsModule, definition } from '../src/budgets.module.js';
import { SHIPPED_PLANS } from '../src/domain/plan.js';

const { commands, queries, events } = budgets;
type Plan = InputOf<typeof commands.publishPlans>['plans'][number];
type Reserve = InputOf<typeof commands.reserve>;
const operator = { role: 'operator' } as const;

let service: TestService;
beforeAll(async () => {
  service = await startService(definition, BudgetsModule);
}, 60_000);
afterAll(async () => {
  await service[Symbol.asyncDispose]();
});

const planOf = (change: Partial<Plan>): Plan => ({
  plan: `plan-${newId().slice(-12)}`,
  name: 'Test',
  pricePico: 0n,
  markupBasisPoints: 0,
  limits: [],
  rates: { requestsPerMinute: null, tokensPerMinute: null, concurrentTurns: null },
  weight: 1,
  paceOverSeconds: 0,
  ...change,
});

async function tenantOn(change: Partial<Plan>): Promise<string> {
  const tenant = service.tenant();
  const plan = planOf(change);
  expect(await service.send(commands.publishPlans, PLATFORM, { plans: [plan] }, operator)).toMatchObject({ ok: true });
  expect(await service.send(commands.assignPlan, tenant, { plan: plan.plan }, operator)).toMatchObject({ ok: true });
  return tenant;
}

const limitOf = (change: Partial<Plan['limits'][number]>) => ({
  scope: 'tenant' as const,
  scopeId: null,
  window: 'month' as const,
  unit: 'messages' as const,
  cap: 2n,
  hard: true,
  topUps: true,
  ...change,
});

/** A call of 100 input and 100 output tokens. */
const call = (change: Partial<Reserve> = {}): Reserve => ({
  reservationId: newId(),
  attribution: {
    turnId: newId(),
    agent: 'main',
    user: 'ada',
    session: 'agent:main:main',
    keyId: null,
    model: 'simulator/sim-echo',
    source: 'chat',
  },
  inputTokensMax: 100,
  outputTokensMax: 100,
  firstOfTurn: true,
  worker: 'worker-1',
  expiresAt: new Date(Date.now() + 60_000).toISOString(),
  ...change,
});

const usageOf = (inputTokens: number, outputTokens: number) => ({
  inputTokens,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  cacheWrite1hTokens: 0,
  outputTokens,
  reasoningTokens: 0,
});

const settlement = (reservationId: string, window: string) => ({
  reservationId,
  window,
  outcome: 'completed' as const,
  usage: usageOf(100, 50) as ReturnType<typeof usageOf> | null,
  outputTokensSeen: 50,
});

/** A whole call, or why it was refused. */
async function say(tenant: string): Promise<string> {
  const input = call();
  const granted = await service.send(commands.reserve, tenant, input);
  if (!granted.ok) return granted.code;
  const settled = await service.send(commands.settle, tenant, settlement(input.reservationId, granted.value.window));
  return settled.ok ? 'said' : settled.code;
}

async function balanceOf(tenant: string) {
  const balance = await service.send(queries.balance, tenant, {});
  if (!balance.ok) throw new Error(balance.message);
  return balance.value;
}

describe('a plan', () => {
  test.each(SHIPPED_PLANS)('$plan can be assigned, and shows its limits and rates', async (plan) => {
    const tenant = service.tenant();
    expect(await service.send(commands.assignPlan, tenant, { plan: plan.plan }, operator)).toEqual({
      ok: true,
      value: {},
    });
    const { plan: named, limits, rates, pressure } = await balanceOf(tenant);
    expect(named).toEqual({ plan: plan.plan, name: plan.name });
    expect(limits.map(({ unit, cap, setBy }) => ({ unit, cap, setBy }))).toEqual(
      plan.limits.map(({ unit, cap }) => ({ unit, cap, setBy: 'plan' })),
    );
    expect(rates.map(({ rate, cap, left }) => [rate, cap, left])).toEqual(
      Object.entries(plan.rates).flatMap(([rate, cap]) => (cap === null ? [] : [[rate, cap, cap]])),
    );
    expect(pressure.step).toBe(plan.plan === 'pay-as-you-go' ? 'refused' : 'free');
  });

  test('is published, read and assigned by operators only, and must exist', async () => {
    const tenant = service.tenant();
    const plan = planOf({});
    expect(await service.send(commands.publishPlans, PLATFORM, { plans: [plan] })).toMatchObject({ code: 'forbidden' });
    expect(await service.send(commands.publishPlans, tenant, { plans: [plan] }, operator)).toMatchObject({
      code: 'forbidden',
    });
    expect(await service.send(queries.plans, PLATFORM, {})).toMatchObject({ code: 'forbidden' });
    expect(await service.send(queries.plans, tenant, {}, operator)).toMatchObject({ code: 'forbidden' });
    expect(await service.send(commands.assignPlan, tenant, { plan: 'unmetered' })).toMatchObject({ code: 'forbidden' });
    expect(await service.send(commands.assignPlan, tenant, { plan: plan.plan }, operator)).toMatchObject({
      code: 'plan_unknown',
    });
    const twice = { plans: [plan, plan] };
    expect(await service.send(commands.publishPlans, PLATFORM, twice, operator)).toMatchObject({
      code: 'plan_repeated',
    });
    const listed = await service.send(queries.plans, PLATFORM, {}, operator);
    expect(listed.ok && listed.value.plans.map(({ plan: id }) => id)).toEqual(
      expect.arrayContaining(SHIPPED_PLANS.map(({ plan: id }) => id)),
    );
  });

  test('that is changed leaves tenants that have it as they are', async () => {
    const tenant = service.tenant();
    const plan = planOf({ limits: [limitOf({})] });
    await service.send(commands.publishPlans, PLATFORM, { plans: [plan] }, operator);
    await service.send(commands.assignPlan, tenant, { plan: plan.plan }, operator);
    await service.send(commands.publishPlans, PLATFORM, { plans: [{ ...plan, limits: [] }] }, operator);
    expect((await balanceOf(tenant)).limits).toMatchObject([{ cap: 2n }]);
  });
});

describe('a top-up', () => {
  test('lets a bundle that is used up go on by as many messages, and is booked once', async () => {
    const tenant = await tenantOn({ limits: [limitOf({})] });
    const answers = [await say(tenant), await say(tenant), await say(tenant)];
    expect(answers).toEqual(['said', 'said', 'budget_exhausted']);
    const topUp = { topUpId: newId(), unit: 'messages' as const, amount: 1n };
    for (let twice = 0; twice < 2; twice++) {
      expect(await service.send(commands.topUp, tenant, topUp, operator)).toEqual({
        ok: true,
        value: { topUps: [{ unit: 'messages', granted: 1n, used: 0n }] },
      });
    }
    expect([await say(tenant), await say(tenant)]).toEqual(['said', 'budget_exhausted']);
    expect((await balanceOf(tenant)).topUps).toEqual([{ unit: 'messages', granted: 1n, used: 1n }]);
  });

  test('is booked by operators, for a unit that a limit takes, and for more than nothing', async () => {
    const tenant = await tenantOn({ limits: [limitOf({})] });
    const topUp = { topUpId: newId(), unit: 'messages' as const, amount: 1n };
    expect(await service.send(commands.topUp, tenant, topUp)).toMatchObject({ code: 'forbidden' });
    const of = (change: object) => service.send(commands.topUp, tenant, { ...topUp, ...change }, operator);
    expect(await of({ unit: 'usd' })).toMatchObject({ code: 'top_up_useless' });
    expect(await of({ amount: 0n })).toMatchObject({ code: 'amount_not_positive' });
    expect(await of({ amount: 10n ** 25n })).toMatchObject({ code: 'cap_absurd' });
  });
});

test('a time zone is set by owners, must exist, and ends the month by its clock', async () => {
  const tenant = service.tenant();
  const set = (timeZone: string, role: 'owner' | 'member' = 'owner') =>
    service.send(commands.setTimeZone, tenant, { timeZone }, { role });
  expect(await set('Asia/Kathmandu', 'member')).toMatchObject({ code: 'forbidden' });
  expect(await set('Mars/Olympus')).toMatchObject({ code: 'time_zone_unknown' });
  expect(await set('Asia/Kathmandu')).toEqual({ ok: true, value: {} });
  const { timeZone, limits } = await balanceOf(tenant);
  expect(timeZone).toBe('Asia/Kathmandu');
  expect(limits.every(({ windowEndsAt }) => windowEndsAt?.endsWith('T18:15:00.000Z'))).toBe(true);
});

test('an invoice adds price, usage and mark-up, exactly', async () => {
  const tenant = await tenantOn({ pricePico: 19_000_000_000_000n, markupBasisPoints: 2_000 });
  await say(tenant);
  await say(tenant);
  const month = new Date().toISOString().slice(0, 7);
  expect(await service.send(queries.invoice, tenant, { month })).toMatchObject({
    value: { month, usagePico: 60_000_000n, markupPico: 12_000_000n, totalCents: 1_900n, plan: { name: 'Test' } },
  });
  expect(await service.send(queries.invoice, tenant, { month: '2020-01' })).toMatchObject({
    value: { plan: null, usagePico: 0n, totalCents: 0n },
  });
});

describe('a worker', () => {
  const dispatch = { principal: { kind: 'service', id: 'dispatch' } } as const;
  const extend = (worker: string, calls: InputOf<typeof commands.extend>['calls'] = []) =>
    service.send(commands.extend, PLATFORM, { worker, calls }, dispatch);

  test('speaks for itself under the platform only', async () => {
    const input = { worker: 'worker-1', calls: [] };
    expect(await service.send(commands.extend, service.tenant(), input, dispatch)).toMatchObject({ code: 'forbidden' });
    expect(await service.send(commands.extend, PLATFORM, input, operator)).toMatchObject({ code: 'forbidden' });
    expect(await extend('worker-1')).toEqual({ ok: true, value: {} });
  });

  test('that died is charged its calls’ input and the output it told of; one that lives is not', async () => {
    const tenant = await tenantOn({});
    const [dead, alive] = [newId(), newId()];
    const ofDead = call({ worker: dead });
    const ofAlive = call({ worker: alive });
    await service.send(commands.reserve, tenant, ofDead);
    await service.send(commands.reserve, tenant, ofAlive);
    await extend(dead, [{ tenant, reservationId: ofDead.reservationId, outputTokensSeen: 9 }]);
    await extend(dead, [{ tenant, reservationId: ofDead.reservationId, outputTokensSeen: 7 }]); // Overtaken on its way.
    const heardMs = Date.now();
    const charged = async () => (await service.eventsOf(tenant)).filter(({ type }) => type === 'ReservationExpired');
    while ((await charged()).length === 0 && Date.now() < heardMs + 25_000) {
      await extend(alive, [{ tenant, reservationId: ofAlive.reservationId, outputTokensSeen: 1 }]);
      await sleep(200);
    }
    expect(Date.now() - heardMs).toBeGreaterThan(8_000);
    expect(await charged()).toMatchObject([
      {
        data: {
          reservationId: ofDead.reservationId,
          usage: { inputTokens: 100, outputTokens: 9 },
          costPico: '13600000',
        },
      },
    ]);
    const window = new Date().toISOString().slice(0, 7);
    expect(await service.send(commands.settle, tenant, settlement(ofAlive.reservationId, window))).toMatchObject({
      value: { estimated: false, costPico: 30_000_000n },
    });
  }, 40_000);
});

test('a cap below what is spent refuses new turns at once, and lets what runs end', async () => {
  const tenant = await tenantOn({});
  const input = call();
  const granted = await service.send(commands.reserve, tenant, input);
  await say(tenant);
  const { topUps: _, ...narrow } = limitOf({ unit: 'tokens', cap: 10n });
  await service.send(commands.setLimits, tenant, { limits: [narrow] });
  expect(await say(tenant)).toBe('budget_exhausted');
  expect(await balanceOf(tenant)).toMatchObject({ limits: [{ cap: 10n, left: 0n }], pressure: { step: 'refused' } });
  const window = granted.ok ? granted.value.window : '';
  expect(await service.send(commands.settle, tenant, settlement(input.reservationId, window))).toMatchObject({
    ok: true,
  });
  await service.nextEvent(events.ThresholdCrossed, tenant, ({ data }) => data['thresholdPercent'] === 100);
});

test('three instances admit exactly a plan’s requests and turns a minute, none more', async () => {
  const more = [await startInstance(definition, BudgetsModule), await startInstance(definition, BudgetsModule)];
  try {
    const rates = { requestsPerMinute: 40, tokensPerMinute: null, concurrentTurns: null };
    const tenant = await tenantOn({ rates, limits: [limitOf({ unit: 'requests', cap: 1_000n })] });
    const answers = await Promise.all(Array.from({ length: 150 }, () => say(tenant)));
    expect(answers.filter((answer) => answer === 'said')).toHaveLength(40);
    expect(answers.filter((answer) => answer === 'rate_limited')).toHaveLength(110);
    expect((await balanceOf(tenant)).limits).toMatchObject([{ posted: 40n, held: 0n, left: 960n }]);

    const few = await tenantOn({ rates: { ...rates, requestsPerMinute: null, concurrentTurns: 5 } });
    const begun = await Promise.all(Array.from({ length: 60 }, () => service.send(commands.reserve, few, call())));
    expect(begun.filter(({ ok }) => ok)).toHaveLength(5);
    expect(begun.every((answer) => answer.ok || answer.code === 'rate_limited')).toBe(true);
  } finally {
    for (const instance of more) await instance.close();
  }
}, 60_000);

describe('nonsense has an answer:', () => {
  const narrow = (cap: bigint) => {
    const { topUps: _, ...limit } = limitOf({ cap });
    return { limits: [limit] };
  };

  test('a cap that is negative, absurd, or longer than any number', async () => {
    const tenant = service.tenant();
    expect(await service.send(commands.setLimits, tenant, narrow(-1n))).toMatchObject({ code: 'cap_negative' });
    expect(await service.send(commands.setLimits, tenant, narrow(10n ** 24n + 1n))).toMatchObject({
      code: 'cap_absurd',
    });
    expect(await service.send(commands.setLimits, tenant, narrow(10n ** 24n))).toMatchObject({ ok: true });
  });

  test.each(['1.5', '1e6', '', '9'.repeat(37), 'NaN', ' 1'])('the cap %j is no amount', (cap) => {
    const { topUps: _, ...limit } = limitOf({});
    expect(commands.setLimits.input.safeParse({ limits: [{ ...limit, cap }] }).success).toBe(false);
  });

  test.each([
    ['negative', { inputTokens: -1 }],
    ['fractional', { inputTokens: 1.5 }],
    ['beyond all counting', { inputTokens: 2 ** 53 }],
    ['told with a total that need not add up', { totalTokens: 5 }],
  ])('usage that is %s is refused by the contract', (_name, change) => {
    const bill = { ...settlement(newId(), '2026-11'), usage: { ...usageOf(1, 1), ...change } };
    expect(commands.settle.input.safeParse(bill).success).toBe(false);
  });

  test('a settlement of what is unknown, foreign, settled, larger than the bound, or without usage', async () => {
    const [tenant, other] = [await tenantOn({}), await tenantOn({})];
    const begin = async () => {
      const input = call();
      const granted = await service.send(commands.reserve, tenant, input);
      return settlement(input.reservationId, granted.ok ? granted.value.window : '');
    };
    const bill = await begin();
    expect(await service.send(commands.settle, tenant, { ...bill, reservationId: newId() })).toMatchObject({
      code: 'reservation_unknown',
    });
    expect(await service.send(commands.settle, tenant, { ...bill, window: '2031-01' })).toMatchObject({
      code: 'reservation_unknown',
    });
    expect(await service.send(commands.settle, other, bill)).toMatchObject({ code: 'reservation_unknown' });
    expect(await service.send(commands.settle, tenant, bill)).toMatchObject({ value: { costPico: 30_000_000n } });
    const again = { ...bill, usage: usageOf(1, 1) };
    expect(await service.send(commands.settle, tenant, again)).toMatchObject({ value: { costPico: 30_000_000n } });

    const large = { ...(await begin()), usage: usageOf(1_000, 1_000) };
    expect(await service.send(commands.settle, tenant, large)).toMatchObject({ value: { costPico: 500_000_000n } });
    const told = await service.nextEvent(
      events.Settled,
      tenant,
      ({ data }) => data['reservationId'] === large.reservationId,
    );
    expect(told.data).toMatchObject({ providerExcessTokens: 1_800 });

    const silent = { ...(await begin()), usage: null, outputTokensSeen: 10 ** 9 };
    expect(await service.send(commands.settle, tenant, silent)).toMatchObject({
      value: { costPico: 50_000_000n, estimated: true },
    });
  });
});

test('every row follows from the events', async () => expect(await service.replayCheck()).toEqual([]));
