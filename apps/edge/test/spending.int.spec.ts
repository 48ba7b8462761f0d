import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { budgets, dispatch, identity, webhooks } from '@reef/contracts';
import { ADA, runningEdge, type TestEdge } from './running-edge.js';
import { failed } from './fixture-services.js';

// Within a describe, so that its end comes before the end of this file's NATS.
describe('at the edge', () => {
  let edge: TestEdge;
  beforeAll(async () => {
    edge = await runningEdge();
  });
  afterAll(async () => {
    await edge[Symbol.asyncDispose]();
  });

  const ACME = '/api/tenants/acme';
  const OPERATOR = { key: 'operator-key' };
  const NOW = '2026-11-22T12:00:00.000Z';
  const USD = 1_000_000_000_000n;
  const done = { ok: true, value: {} } as const;

  /** `acme` is there, and no other tenant. */
  const onlyAcme = () =>
    edge.services.answer(identity.queries.asOf, ({ subjectTenant }) => ({
      ok: true,
      value: { status: subjectTenant === 'acme' ? 'active' : 'absent', members: [] },
    }));

  describe('a budget', () => {
    test('shows plan, time zone, whose limits they are, top-ups and rates', async () => {
      const limit = { scope: 'tenant', scopeId: null, window: 'month', windowEndsAt: NOW, hard: true } as const;
      const rate = { rate: 'requestsPerMinute', cap: 60, left: 0, resetMs: 500 } as const;
      edge.services.answer(budgets.queries.balance, () => ({
        ok: true,
        value: {
          plan: { plan: 'starter', name: 'Starter' },
          timeZone: 'Europe/Berlin',
          limits: [
            { ...limit, unit: 'usd', cap: 5n * USD, posted: USD / 2n, held: 1n, left: 4n * USD, setBy: 'plan' },
            { ...limit, unit: 'tokens', cap: 1_000n, posted: 900n, held: 0n, left: 100n, setBy: 'tenant' },
          ],
          topUps: [{ unit: 'usd', granted: 10n * USD, used: USD / 4n }],
          rates: [rate],
          pressure: { utilisation: 0.9, step: 'background_waits' },
        },
      }));
      expect(await (await edge.call('GET', `${ACME}/budget`, { key: 'eve-key' })).json()).toEqual({
        plan: { plan: 'starter', name: 'Starter' },
        timeZone: 'Europe/Berlin',
        limits: [
          { ...limit, unit: 'usd', cap: '5', posted: '0.5', held: '0.000000000001', left: '4', setBy: 'plan' },
          { ...limit, unit: 'tokens', cap: '1000', posted: '900', held: '0', left: '100', setBy: 'tenant' },
        ],
        topUps: [{ unit: 'usd', granted: '10', used: '0.25', left: '9.75' }],
        rates: [rate],
        pressure: { utilisation: 0.9, step: 'background_waits' },
      });
    });

    test('has limits that go back in as they came out', async () => {
      const own = { scope: 'agent', scopeId: '*', window: 'day', unit: 'usd', hard: true } as const;
      const plans = { scope: 'tenant', scopeId: null, window: 'month', unit: 'messages', hard: true } as const;
      edge.services.answer(budgets.queries.limits, () => ({
        ok: true,
        value: { limits: [{ ...own, cap: USD / 2n }], planLimits: [{ ...plans, cap: 500n, topUps: true }] },
      }));
      edge.services.answer(budgets.commands.setLimits, () => done);
      const shown = (await (await edge.call('GET', `${ACME}/limits`, { key: 'eve-key' })).json()) as { limits: object };
      expect(shown).toEqual({
        limits: [{ ...own, cap: '0.5' }],
        planLimits: [{ ...plans, cap: '500', topUps: true }],
      });
      const put = await edge.call('PUT', `${ACME}/limits`, { body: { limits: shown.limits } });
      expect(put.status).toBe(200);
      expect(edge.services.asked(budgets.commands.setLimits).at(-1)!.input.limits).toEqual([{ ...own, cap: USD / 2n }]);
    });

    test('begins its days by a clock that an admin names, and a viewer does not', async () => {
      edge.services.answer(budgets.commands.setTimeZone, ({ input }) =>
        input.timeZone === 'Europe/Berlin' ? done : { ok: false, code: 'time_zone_unknown', message: 'unknown' },
      );
      const put = (timeZone: unknown, key = 'ada-key') =>
        edge.call('PUT', `${ACME}/time-zone`, { key, body: { timeZone } });
      expect(await (await put('Europe/Berlin')).json()).toEqual({ timeZone: 'Europe/Berlin' });
      const statuses = [
        await put('Mars/Olympus'),
        await put('../etc'),
        await put(2),
        await put('Europe/Berlin', 'eve-key'),
      ];
      expect(statuses.map(({ status }) => status)).toEqual([400, 400, 400, 403]);
    });

    test('ends in an invoice, exact but for its sum', async () => {
      edge.services.answer(budgets.queries.invoice, ({ input }) => ({
        ok: true,
        value: {
          month: input.month,
          plan: { plan: 'monthly-credit', name: 'Monthly credit', pricePico: 20n * USD },
          usagePico: 123_456_789_012n,
          markupBasisPoints: 1_000,
          markupPico: 12_345_678_901n,
          totalCents: 2_014n,
        },
      }));
      const invoice = await edge.call('GET', `${ACME}/invoice?month=2026-11`, { key: 'eve-key' });
      expect(await invoice.json()).toEqual({
        month: '2026-11',
        plan: { plan: 'monthly-credit', name: 'Monthly credit', priceUsd: '20' },
        usageUsd: '0.123456789012',
        markupBasisPoints: 1_000,
        markupUsd: '0.012345678901',
        totalUsd: '20.14',
      });
      for (const query of ['', '?month=2026-13', '?month=2026-1', '?month=2026-11&x=1'])
        expect((await edge.call('GET', `${ACME}/invoice${query}`)).status).toBe(400);
    });

    test('that is used up refuses with what is left, and its pressure', async () => {
      edge.services.turnsSay([
        failed('budget_exhausted', 'too little is left', { unit: 'usd', cap: '5000000000000', left: '1000000' }),
      ]);
      const body = { model: 'openclaw', messages: [{ role: 'user', content: 'hello' }] };
      const refused = await edge.call('POST', '/v1/chat/completions', { body });
      expect(refused.status).toBe(402);
      expect(refused.headers.get('x-reef-pressure')).toBe('refused');
      expect(await refused.json()).toMatchObject({
        error: { message: 'too little is left: 0.000001 of 5 USD is left', details: { cap: '5', left: '0.000001' } },
      });
    });

    test('whose rate is full says when to come again', async () => {
      edge.services.turnsSay([
        failed('rate_limited', 'the plan allows 60', { rate: 'requestsPerMinute', cap: 60, retryAfterMs: 2_500 }),
      ]);
      expect(edge.services.asked(dispatch.commands.startTurn)).toHaveLength(1);
      const body = { model: 'openclaw', messages: [{ role: 'user', content: 'hello' }], stream: true };
      const refused = await edge.call('POST', '/v1/chat/completions', { body });
      expect(refused.status).toBe(429);
      expect(Object.fromEntries(refused.headers)).toMatchObject({
        'retry-after': '3',
        'x-ratelimit-limit-requests': '60',
        'x-ratelimit-remaining-requests': '0',
        'x-ratelimit-reset-requests': '3s',
      });
    });
  });

  describe('an operator', () => {
    const plan = {
      plan: 'pro',
      name: 'Pro',
      priceUsd: '29.5',
      markupBasisPoints: 500,
      limits: [
        { scope: 'tenant', scopeId: null, window: 'month', unit: 'usd', cap: '25', hard: true, topUps: true },
        { scope: 'tenant', scopeId: null, window: 'day', unit: 'messages', cap: '100', hard: true, topUps: false },
      ],
      rates: { requestsPerMinute: 60, tokensPerMinute: null, concurrentTurns: 5 },
      weight: 2,
      paceOverSeconds: 3_600,
    };

    test('publishes plans and reads them as they were written', async () => {
      edge.services.answer(budgets.commands.publishPlans, () => done);
      const put = await edge.call('PUT', '/api/platform/plans', { ...OPERATOR, body: { plans: [plan] } });
      expect(await put.json()).toEqual({ plans: [plan] });
      const { input, claims } = edge.services.asked(budgets.commands.publishPlans).at(-1)!;
      expect(claims).toMatchObject({ tenant: 'platform', role: 'operator' });
      expect(input.plans).toMatchObject([
        { pricePico: 29_500_000_000_000n, limits: [{ cap: 25n * USD }, { cap: 100n }] },
      ]);
      edge.services.answer(budgets.queries.plans, () => ({ ok: true, value: { plans: input.plans } }));
      expect(await (await edge.call('GET', '/api/platform/plans', OPERATOR)).json()).toEqual({ plans: [plan] });
    });

    test.each([
      ['a price that is a number', { priceUsd: 5 }],
      ['a price below zero', { priceUsd: '-5' }],
      ['half a message', { limits: [{ ...plan.limits[1], cap: '0.5' }] }],
      ['a field nobody knows', { colour: 'red' }],
      ['a name that is none', { plan: 'Pro Plan' }],
      ['no turns at once', { rates: { ...plan.rates, concurrentTurns: 0 } }],
    ])('is refused a plan with %s', async (_what, change) => {
      edge.services.answer(budgets.commands.publishPlans, () => done);
      const body = { plans: [{ ...plan, ...change }] };
      expect((await edge.call('PUT', '/api/platform/plans', { ...OPERATOR, body })).status).toBe(400);
    });

    test('gives a tenant a plan, in the tenant’s name, and none to a tenant that is not there', async () => {
      onlyAcme();
      edge.services.answer(budgets.commands.assignPlan, ({ input }) =>
        input.plan === 'pro' ? done : { ok: false, code: 'plan_unknown', message: 'no such plan' },
      );
      const give = (tenant: string, name: string, key = 'operator-key') =>
        edge.call('PUT', `/api/platform/tenants/${tenant}/plan`, { key, body: { plan: name } });
      expect(await (await give('acme', 'pro')).json()).toEqual({ plan: 'pro' });
      expect(edge.services.asked(budgets.commands.assignPlan).at(-1)).toMatchObject({
        subjectTenant: 'acme',
        claims: { role: 'operator', principal: { kind: 'platform' } },
      });
      const asked = edge.services.asked(budgets.commands.assignPlan).length;
      const answers = [
        await give('nosuch', 'pro'),
        await give('NOT-A-NAME', 'pro'),
        await give('acme', 'pro', 'ada-key'),
      ];
      expect(answers.map(({ status }) => status)).toEqual([404, 404, 403]);
      expect(edge.services.asked(budgets.commands.assignPlan)).toHaveLength(asked);
      expect((await give('acme', 'nosuch')).status).toBe(404);
    });

    test('tops a tenant up once for each Idempotency-Key', async () => {
      onlyAcme();
      edge.services.answer(budgets.commands.topUp, ({ input }) => ({
        ok: true,
        value: { topUps: [{ unit: input.unit, granted: input.amount, used: 0n }] },
      }));
      const topUp = (body: object, headers: Record<string, string> = {}) =>
        edge.call('POST', '/api/platform/tenants/acme/top-ups', { ...OPERATOR, body, headers });
      const body = { unit: 'usd', amount: '12.5' };
      const headers = { 'idempotency-key': 'payment-17' };
      const made = await topUp(body, headers);
      expect(made.status).toBe(201);
      const { topUpId, topUps } = (await made.json()) as { topUpId: string; topUps: object[] };
      expect(topUps).toEqual([{ unit: 'usd', granted: '12.5', used: '0', left: '12.5' }]);
      await topUp(body, headers);
      await topUp(body);
      await topUp({ ...body, topUpId: ADA });
      const inputs = edge.services.asked(budgets.commands.topUp).map(({ input }) => input);
      expect(inputs.map((input) => input.topUpId)).toEqual([topUpId, topUpId, expect.any(String), ADA]);
      expect(inputs[2]!.topUpId).not.toBe(topUpId);
      expect(inputs[0]!.amount).toBe(12_500_000_000_000n);
      for (const wrong of [{ amount: '-1' }, { amount: 1 }, { unit: 'tokens' }, { topUpId: 'x' }, { unit: 'gold' }])
        expect((await topUp({ ...body, ...wrong })).status).toBe(400);
    });

    test('tops up nobody who is not there', async () => {
      onlyAcme();
      const body = { unit: 'usd', amount: '1' };
      const asked = edge.services.asked(budgets.commands.topUp).length;
      const nobody = await edge.call('POST', '/api/platform/tenants/nosuch/top-ups', { ...OPERATOR, body });
      expect(nobody.status).toBe(404);
      expect(edge.services.asked(budgets.commands.topUp)).toHaveLength(asked);
    });
  });

  describe('a webhook', () => {
    test('is set, listed, tested, given a new secret and removed', async () => {
      const webhook = { webhookId: ADA, url: 'https://example.com/hook', createdAt: NOW };
      const lastDelivery = {
        messageId: 'msg_1',
        type: 'budget.threshold',
        status: 'waiting',
        attempts: 2,
        httpStatus: 500,
        failure: null,
        createdAt: NOW,
        nextAttemptAt: NOW,
      } as const;
      const { commands, queries } = webhooks;
      edge.services.answer(commands.setWebhook, () => ({ ok: true, value: { ...webhook, secret: 'whsec_YQ==' } }));
      edge.services.answer(queries.webhooks, () => ({ ok: true, value: { items: [{ ...webhook, lastDelivery }] } }));
      edge.services.answer(commands.testWebhook, () => ({ ok: true, value: { messageId: 'msg_2' } }));
      edge.services.answer(commands.rotateWebhookSecret, () => ({ ok: true, value: { secret: 'whsec_Yg==' } }));
      edge.services.answer(commands.removeWebhook, () => done);

      const set = await edge.call('POST', `${ACME}/webhooks`, { body: { url: webhook.url } });
      expect(set.status).toBe(201);
      expect(await set.json()).toEqual({ ...webhook, secret: 'whsec_YQ==' });
      const listed = await edge.call('GET', `${ACME}/webhooks`);
      expect(await listed.json()).toEqual({ items: [{ ...webhook, lastDelivery }] });
      expect(await (await edge.call('POST', `${ACME}/webhooks/${ADA}/test`)).json()).toEqual({ messageId: 'msg_2' });
      expect(await (await edge.call('POST', `${ACME}/webhooks/${ADA}/secret`)).json()).toEqual({
        secret: 'whsec_Yg==',
      });
      expect((await edge.call('DELETE', `${ACME}/webhooks/${ADA}`)).status).toBe(204);
      expect((await edge.call('DELETE', `${ACME}/webhooks/not-an-id`)).status).toBe(404);
      expect((await edge.call('GET', `${ACME}/webhooks`, { key: 'eve-key' })).status).toBe(403);
      expect((await edge.call('POST', `${ACME}/webhooks`, { body: { url: 7 } })).status).toBe(400);
    });
  });
});
