import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { budgets, dispatch, identity, type InputOf, PLATFORM } from '@reef/contracts';
import { newId } from '@reef/messaging';
import { startService as startInstance } from '@reef/service';
import { eventually, startService, type TestService } from '@reef/testing';
import { BudgetsModule, definition } from '../src/budgets.module.js';

const { commands, queries, events } = budgets;
type Limit = InputOf<typeof commands.setLimits>['limits'][number];

let service: TestService;
let worker: NodeJS.Timeout;
beforeAll(async () => {
  // Tenants without a plan's limits: what is narrowed here, the tests narrow.
  service = await startService(definition, BudgetsModule, { env: { REEF_DEFAULT_PLAN: 'unmetered' } });
  const dispatch = { principal: { kind: 'service', id: 'dispatch' } } as const;
  // Whose calls these are lives on; plans.int.spec.ts is about workers that die.
  worker = setInterval(() => {
    void service.send(commands.extend, PLATFORM, { worker: 'worker-1', calls: [] }, dispatch).catch(() => undefined);
  }, 2_000);
}, 60_000);
afterAll(async () => {
  clearInterval(worker);
  await service[Symbol.asyncDispose]();
});

const limitOf = (change: Partial<Limit>): Limit => ({
  scope: 'tenant',
  scopeId: null,
  window: 'total',
  unit: 'tokens',
  cap: 1_000n,
  hard: true,
  ...change,
});

/** A call of 100 input and 100 output tokens. */
const call = (change: Partial<InputOf<typeof commands.reserve>> = {}) => ({
  reservationId: newId(),
  attribution: {
    turnId: newId(),
    agent: 'main',
    user: 'ada',
    session: 'agent:main:main',
    keyId: null,
    model: 'simulator/sim-echo',
    source: 'chat' as const,
  },
  inputTokensMax: 100,
  outputTokensMax: 100,
  firstOfTurn: true,
  worker: 'worker-1',
  expiresAt: new Date(Date.now() + 60_000).toISOString(),
  ...change,
});

type Plan = InputOf<typeof commands.publishPlans>['plans'][number];
const operator = { role: 'operator' } as const;

/** A plan of a tenant's own: nothing is rationed, and nothing limited but what is said. */
async function assign(tenant: string, change: Partial<Plan> = {}): Promise<string> {
  const plan: Plan = {
    plan: `plan-${newId().slice(-12)}`,
    name: 'Test',
    pricePico: 0n,
    markupBasisPoints: 0,
    limits: [],
    rates: { requestsPerMinute: null, tokensPerMinute: null, concurrentTurns: null },
    weight: 1,
    paceOverSeconds: 0,
    ...change,
  };
  expect(await service.send(commands.publishPlans, PLATFORM, { plans: [plan] }, operator)).toMatchObject({ ok: true });
  expect(await service.send(commands.assignPlan, tenant, { plan: plan.plan }, operator)).toMatchObject({ ok: true });
  return plan.plan;
}

const usageOf = (inputTokens: number, outputTokens: number) => ({
  inputTokens,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  cacheWrite1hTokens: 0,
  outputTokens,
  reasoningTokens: 0,
});

async function reserve(tenant: string, change: Partial<InputOf<typeof commands.reserve>> = {}) {
  const input = call(change);
  const granted = await service.send(commands.reserve, tenant, input);
  if (!granted.ok) throw new Error(granted.message);
  return { ...granted.value, input, reservationId: input.reservationId };
}

const settlement = ({ reservationId, window }: { reservationId: string; window: string }, output = 50) => ({
  reservationId,
  window,
  outcome: 'completed' as const,
  usage: usageOf(100, output),
  outputTokensSeen: output,
});

async function limitsOf(tenant: string, ...limits: Partial<Limit>[]) {
  const set = await service.send(commands.setLimits, tenant, { limits: limits.map(limitOf) });
  expect(set).toEqual({ ok: true, value: {} });
}

async function balanceOf(tenant: string) {
  const balance = await service.send(queries.balance, tenant, {});
  if (!balance.ok) throw new Error(balance.message);
  return balance.value;
}

async function ledgerOf(tenant: string, page: { limit: number; cursor?: string } = { limit: 50 }) {
  const ledger = await service.send(queries.ledger, tenant, page);
  if (!ledger.ok) throw new Error(ledger.message);
  return ledger.value;
}

describe('a call', () => {
  test('is held at its bound, settled at its cost, and seen in balance, ledger and feed', async () => {
    const tenant = service.tenant();
    await limitsOf(tenant, { unit: 'usd', cap: 1_000_000_000n });
    const held = await reserve(tenant);
    // 100 input tokens at 125,000 (they may be written to a cache) and 100 output tokens at 400,000 pico-USD.
    expect(held).toMatchObject({ outputTokensMax: 100, heldPico: 52_500_000n, pressure: { step: 'free' } });
    expect((await balanceOf(tenant)).limits).toMatchObject([{ posted: 0n, held: 52_500_000n, left: 947_500_000n }]);

    const settled = await service.send(commands.settle, tenant, settlement(held));
    expect(settled).toEqual({ ok: true, value: { costPico: 30_000_000n, estimated: false } });
    expect((await balanceOf(tenant)).limits).toMatchObject([{ posted: 30_000_000n, held: 0n, left: 970_000_000n }]);
    expect((await ledgerOf(tenant)).items).toMatchObject([
      { reservationId: held.reservationId, status: 'settled', heldPico: 52_500_000n, costPico: 30_000_000n },
    ]);
    const told = await service.nextEvent(events.Settled, tenant);
    expect(told.data).toMatchObject({
      reservationId: held.reservationId,
      costPico: '30000000',
      attribution: { user: 'ada' },
    });
  });

  test('of a tenant that nobody opened counts by the plan that the deployment names', async () => {
    const tenant = service.tenant();
    await reserve(tenant);
    expect(await balanceOf(tenant)).toMatchObject({ plan: { plan: 'unmetered' }, limits: [] });
    await service.send(commands.assignPlan, tenant, { plan: 'starter' }, operator);
    expect((await balanceOf(tenant)).limits).toMatchObject([
      { window: 'month', unit: 'usd', cap: 5_000_000_000_000n },
      { window: 'day', unit: 'requests', cap: 10_000n, held: 1n },
    ]);
  });

  test('that does not fit is clamped, and refused when nothing useful is left', async () => {
    const tenant = service.tenant();
    await limitsOf(tenant, { cap: 380n });
    await reserve(tenant);
    expect(await reserve(tenant)).toMatchObject({ outputTokensMax: 80, pressure: { step: 'refused', utilisation: 1 } });
    const refused = await service.send(commands.reserve, tenant, call());
    expect(refused).toMatchObject({
      code: 'budget_exhausted',
      details: { scope: 'tenant', unit: 'tokens', cap: '380', left: '0', windowEndsAt: null },
    });
    expect((await balanceOf(tenant)).pressure).toEqual({ step: 'refused', utilisation: 1 });
  });

  test('of a model without a price is refused, until an operator publishes one', async () => {
    const tenant = service.tenant();
    const model = `custom/${newId()}`;
    const unpriced = call({ attribution: { ...call().attribution, model } });
    expect(await service.send(commands.reserve, tenant, unpriced)).toMatchObject({
      code: 'unpriced_model',
      message: expect.stringContaining('has no price'),
      details: { model },
    });
    const price = { model, inputPico: 1n, cacheReadPico: 1n, cacheWritePico: 1n, outputPico: 2n };
    const published = await service.send(commands.publishPrices, PLATFORM, { prices: [price] }, { role: 'operator' });
    expect(published).toMatchObject({ ok: true });
    expect(await service.send(commands.reserve, tenant, unpriced)).toMatchObject({ value: { heldPico: 300n } });
    const book = await service.send(queries.prices, PLATFORM, {}, { role: 'operator' });
    expect(book.ok && book.value.prices).toContainEqual(expect.objectContaining(price));
  });

  test('sent twice happens once, under one command id or two', async () => {
    const tenant = service.tenant();
    await limitsOf(tenant, { cap: 1_000n });
    const input = call();
    const commandId = newId();
    const first = await service.send(commands.reserve, tenant, input, { commandId });
    expect(await service.send(commands.reserve, tenant, input, { commandId })).toEqual(first);
    expect(await service.send(commands.reserve, tenant, input)).toEqual(first);
    expect(await service.send(commands.reserve, tenant, call(), { commandId })).toMatchObject({
      code: 'command_id_reused',
    });

    const window = first.ok ? first.value.window : '';
    const bill = settlement({ reservationId: input.reservationId, window });
    const answers = await Promise.all(Array.from({ length: 5 }, () => service.send(commands.settle, tenant, bill)));
    expect(new Set(answers.map((answer) => answer.ok && answer.value.costPico))).toEqual(new Set([30_000_000n]));
    const types = (await service.eventsOf(tenant)).map(({ type }) => type);
    expect(types).toEqual(['WindowOpened', 'LimitsSet', 'Reserved', 'Settled']);
  });

  test('settled again when the books have long forgotten it gets its answer from the ledger', async () => {
    const tenant = service.tenant();
    await limitsOf(tenant, { cap: 10_000_000n });
    const early = await reserve(tenant);
    const freed = await reserve(tenant);
    await service.send(commands.settle, tenant, settlement(early, 7));
    await service.send(commands.release, tenant, { reservationId: freed.reservationId, window: freed.window });
    await Promise.all(
      Array.from({ length: 300 }, async () => service.send(commands.settle, tenant, settlement(await reserve(tenant)))),
    );
    expect(await service.send(commands.settle, tenant, settlement(early, 99))).toEqual({
      ok: true,
      value: { costPico: 12_800_000n, estimated: false },
    });
    const release = (of: typeof early) =>
      service.send(commands.release, tenant, { reservationId: of.reservationId, window: of.window });
    expect(await release(freed)).toEqual({ ok: true, value: {} });
    expect(await release(early)).toMatchObject({ code: 'already_settled' });
  });

  test('that nobody settles is charged by estimate when its time is over, and corrected when the truth comes', async () => {
    const tenant = service.tenant();
    await limitsOf(tenant, { cap: 1_000n });
    const held = await reserve(tenant, { expiresAt: new Date(Date.now() + 100).toISOString() });
    await service.nextEvent(events.ReservationExpired, tenant);
    expect((await balanceOf(tenant)).limits).toMatchObject([{ posted: 100n, held: 0n }]);
    expect((await ledgerOf(tenant)).items).toMatchObject([
      { status: 'expired', estimated: true, costPico: 10_000_000n },
    ]);
    for (let twice = 0; twice < 2; twice++) {
      expect(await service.send(commands.settle, tenant, settlement(held))).toEqual({
        ok: true,
        value: { costPico: 30_000_000n, estimated: false },
      });
    }
    expect((await balanceOf(tenant)).limits).toMatchObject([{ posted: 150n, held: 0n }]);
    expect((await ledgerOf(tenant)).items).toMatchObject([
      { status: 'settled', estimated: false, costPico: 30_000_000n },
    ]);
  });

  test('of a turn whose process died is charged at once, and calls of other turns are not', async () => {
    const tenant = service.tenant();
    await limitsOf(tenant, { cap: 1_000n });
    const dead = await reserve(tenant);
    await reserve(tenant);
    const { turnId } = dead.input.attribution;
    const failedAt = new Date().toISOString();
    await service.publish(dispatch.events.TurnFailed, tenant, {
      turnId,
      code: 'provider_error',
      message: '',
      failedAt,
      calls: [],
      tools: [],
    });
    await service.publish(dispatch.events.TurnFailed, tenant, {
      turnId,
      code: 'interrupted',
      message: '',
      failedAt,
      calls: [],
      tools: [],
    });
    await service.nextEvent(
      events.ReservationExpired,
      tenant,
      ({ data }) => data['reservationId'] === dead.reservationId,
    );
    expect((await balanceOf(tenant)).limits).toMatchObject([{ posted: 100n, held: 200n }]);
    expect((await service.eventsOf(tenant)).filter(({ type }) => type === 'ReservationExpired')).toHaveLength(1);
  });

  test('of a turn that ended, and whose process died before it settled, is charged some seconds later', async () => {
    const tenant = service.tenant();
    await limitsOf(tenant, { cap: 1_000n });
    const [lost, late] = [await reserve(tenant), await reserve(tenant)];
    const at = new Date().toISOString();
    for (const { input } of [lost, late]) {
      const { turnId } = input.attribution;
      await service.publish(dispatch.events.TurnCancelled, tenant, { turnId, cancelledAt: at, calls: [], tools: [] });
    }
    await service.send(commands.settle, tenant, settlement(late));
    const deadlineMs = Date.now() + 20_000;
    while ((await balanceOf(tenant)).limits[0]?.held !== 0n && Date.now() < deadlineMs) await sleep(200);
    const ended = (await ledgerOf(tenant)).items.map(({ reservationId, status }) => ({ reservationId, status }));
    expect(ended).toContainEqual({ reservationId: lost.reservationId, status: 'expired' });
    expect(ended).toContainEqual({ reservationId: late.reservationId, status: 'settled' });
  }, 30_000);
});

describe('limits', () => {
  test('are set by owners, admins and operators only', async () => {
    const tenant = service.tenant();
    const limits = [limitOf({ scope: 'agent', scopeId: '*', window: 'day' })];
    for (const role of ['member', 'viewer', 'none'] as const) {
      expect(await service.send(commands.setLimits, tenant, { limits }, { role })).toMatchObject({ code: 'forbidden' });
    }
    for (const role of ['owner', 'admin', 'operator'] as const) {
      expect(await service.send(commands.setLimits, tenant, { limits }, { role })).toMatchObject({ ok: true });
    }
    expect(await service.send(commands.setLimits, tenant, { limits: [...limits, ...limits] })).toMatchObject({
      code: 'limit_repeated',
    });
  });

  test('hold under a thousand calls at once through two instances: not a token too much, not one call too few', async () => {
    const tenant = service.tenant();
    await assign(tenant);
    await limitsOf(tenant, { cap: 20_000n });
    const second = await startInstance(definition, BudgetsModule);
    try {
      const answers = await Promise.all(
        Array.from({ length: 1_000 }, async () => {
          const input = call();
          let granted = await service.send(commands.reserve, tenant, input);
          // The last of it is given to one turn at a time.
          for (let tries = 1; !granted.ok && granted.code === 'paced' && tries < 60; tries++) {
            await sleep(500 + Math.random() * 1_000);
            granted = await service.send(commands.reserve, tenant, input);
          }
          if (!granted.ok) return granted.code;
          const { window } = granted.value;
          const bill = { ...settlement({ reservationId: input.reservationId, window }, 100) };
          return (await service.send(commands.settle, tenant, bill)).ok ? 'settled' : 'lost';
        }),
      );
      const times = (answer: string) => answers.filter((each) => each === answer).length;
      expect({ settled: times('settled'), exhausted: times('budget_exhausted') }).toEqual({
        settled: 100,
        exhausted: 900,
      });
    } finally {
      await second.close();
    }
    expect((await balanceOf(tenant)).limits).toMatchObject([{ posted: 20_000n, held: 0n, left: 0n }]);
  }, 150_000);
});

describe('a tenant', () => {
  test('is opened by its creation, once', async () => {
    const tenant = service.tenant();
    const created = { tenant, ownerUserId: newId(), createdAt: new Date().toISOString() };
    await service.publish(identity.events.TenantCreated, tenant, created);
    await eventually(async () => (await service.eventsOf(tenant)).length === 1);
    await service.publish(identity.events.TenantCreated, tenant, created);
    expect(await service.send(commands.openTenant, tenant, {})).toEqual({ ok: true, value: {} });
    expect((await service.eventsOf(tenant)).map(({ type }) => type)).toEqual(['WindowOpened']);
  });

  test('sees and touches nothing of another', async () => {
    const [ours, theirs] = [service.tenant(), service.tenant()];
    const held = await reserve(ours);
    await reserve(theirs);
    expect((await ledgerOf(theirs)).items.map(({ reservationId }) => reservationId)).not.toContain(held.reservationId);
    expect(await service.send(commands.settle, theirs, settlement(held))).toMatchObject({
      code: 'reservation_unknown',
    });
    const { reservationId, window } = held;
    expect(await service.send(commands.release, theirs, { reservationId, window })).toMatchObject({
      code: 'reservation_unknown',
    });
  });

  test('publishes and reads no prices', async () => {
    const tenant = service.tenant();
    const prices = [{ model: 'a/b', inputPico: 0n, cacheReadPico: 0n, cacheWritePico: 0n, outputPico: 0n }];
    const operator = { role: 'operator' } as const;
    expect(await service.send(commands.publishPrices, tenant, { prices }, operator)).toMatchObject({
      code: 'forbidden',
    });
    expect(await service.send(commands.publishPrices, PLATFORM, { prices })).toMatchObject({ code: 'forbidden' });
    expect(await service.send(queries.prices, tenant, {}, operator)).toMatchObject({ code: 'forbidden' });
  });

  test('reads its ledger page by page, newest first, each reservation once', async () => {
    const tenant = service.tenant();
    await limitsOf(tenant, { cap: 1_000_000n });
    const made: string[] = [];
    for (let count = 0; count < 5; count++) made.push((await reserve(tenant)).reservationId);
    const read: string[] = [];
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof ledgerOf>> = await ledgerOf(tenant, {
        limit: 2,
        ...(cursor && { cursor }),
      });
      read.push(...page.items.map(({ reservationId }) => reservationId));
      cursor = page.nextCursor;
    } while (cursor);
    expect(read).toEqual(made.reverse());
    expect(await service.send(queries.ledger, tenant, { limit: 2, cursor: 'made-up' })).toMatchObject({
      code: 'invalid_input',
    });
  });

  test('can be looked at as it was', async () => {
    const tenant = service.tenant();
    await limitsOf(tenant, { cap: 1_000n });
    const held = await reserve(tenant);
    const between = new Date();
    await eventually(async () => Date.now() > between.getTime());
    await service.send(commands.settle, tenant, settlement(held));
    const then = await service.send(queries.asOf, tenant, { at: between.toISOString() });
    expect(then).toMatchObject({ value: { limits: [{ posted: 0n, held: 200n }] } });
    const now = await service.send(queries.asOf, tenant, { at: new Date().toISOString() });
    expect(now).toMatchObject({ value: { limits: [{ posted: 150n, held: 0n }] } });
    const before = await service.send(queries.asOf, tenant, { at: '2020-01-01T00:00:00Z' });
    expect(before).toEqual({ ok: true, value: { limits: [] } });
  });
});

test('a new month carries totals, goes on counting, and hears what was settled late in the old one', async () => {
  const tenant = service.tenant();
  await limitsOf(tenant, { cap: 1_000n }, { window: 'month', cap: 300n });
  const spent = await reserve(tenant);
  await service.send(commands.settle, tenant, settlement(spent));
  const late = await reserve(tenant, { outputTokensMax: 50, expiresAt: new Date(Date.now() + 90_000).toISOString() });

  // Half a year later, for everybody in this process.
  const now = Date.now;
  const months = jest.spyOn(Date, 'now').mockImplementation(() => now() + 183 * 24 * 3_600_000);
  try {
    const [next] = await Promise.all([
      reserve(tenant, { outputTokensMax: 60 }),
      reserve(tenant, { outputTokensMax: 40 }),
    ]);
    expect(next.window > late.window).toBe(true);
    // The hold of 150 tokens is carried in full: 150 spent, 150 carried, 300 held by two calls that met the month at once.
    expect((await balanceOf(tenant)).limits).toMatchObject([
      { window: 'total', posted: 300n, held: 300n },
      { window: 'month', posted: 0n, held: 300n },
    ]);
    const settled = await service.send(commands.settle, tenant, settlement(late, 10));
    // Unless the sweeper was faster, which charges the input only.
    const used = settled.ok && settled.value.estimated ? 100n : 110n;
    expect((await balanceOf(tenant)).limits).toMatchObject([
      { window: 'total', posted: 150n + used, held: 300n },
      { window: 'month', posted: 0n, held: 300n },
    ]);
    const types = (await service.eventsOf(tenant)).map(({ type }) => type);
    expect(types.filter((type) => type === 'WindowClosed')).toHaveLength(1);
    expect(types.filter((type) => type === 'CarriedSettled')).toHaveLength(1);
  } finally {
    months.mockRestore();
  }
});

test('several instances publish the catalogue once, and a restart does not publish it again', async () => {
  await service.restart();
  const versions = (await service.eventsOf(PLATFORM)).filter(({ data }) => data['source'] === 'catalogue');
  expect(versions).toHaveLength(1);
});

test('every row follows from the events', async () => expect(await service.replayCheck()).toEqual([]));
