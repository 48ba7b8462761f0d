import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { budgets, type InputOf } from '@reef/contracts';
import { startService, type TestService } from '@reef/testing';
import { BudgetsModule, definition } from '../src/budgets.module.js';

const { commands, queries } = budgets;
type Limits = InputOf<typeof commands.setLimits>['limits'];

describe('limits as they were set', () => {
  let service: TestService;
  beforeAll(async () => {
    service = await startService(definition, BudgetsModule);
  }, 60_000);
  afterAll(async () => {
    await service[Symbol.asyncDispose]();
  });

  const limits: Limits = [
    { scope: 'tenant', scopeId: null, window: 'week', unit: 'usd', cap: 1_000_000_000_000n, hard: true },
    { scope: 'user', scopeId: '*', window: 'day', unit: 'tokens', cap: 5_000n, hard: false },
  ];

  test('are the plan’s alone before the tenant sets its own, also where no books were opened', async () => {
    const shown = await service.send(queries.limits, service.tenant(), {}, { role: 'viewer' });
    expect(shown).toMatchObject({
      ok: true,
      value: {
        limits: [],
        planLimits: [
          { window: 'month', unit: 'usd', cap: 5_000_000_000_000n, topUps: false },
          { window: 'day', unit: 'requests', cap: 10_000n, topUps: false },
        ],
      },
    });
  });

  test('can be set again as they are shown, and change nothing by it', async () => {
    const tenant = service.tenant();
    await service.send(commands.setLimits, tenant, { limits });
    const shown = await service.send(queries.limits, tenant, {});
    if (!shown.ok) throw new Error(shown.message);
    expect(shown.value.limits).toEqual(limits);
    expect(shown.value.planLimits).toHaveLength(2);
    expect(await service.send(commands.setLimits, tenant, { limits: shown.value.limits })).toMatchObject({ ok: true });
    expect(await service.send(queries.limits, tenant, {})).toEqual(shown);
  });

  test('are those of the plan that an operator assigned, beside the tenant’s own', async () => {
    const tenant = service.tenant();
    await service.send(commands.setLimits, tenant, { limits });
    await service.send(commands.assignPlan, tenant, { plan: 'messages-500' }, { role: 'operator' });
    expect(await service.send(queries.limits, tenant, {})).toMatchObject({
      value: { limits, planLimits: [{ unit: 'messages', cap: 500n, topUps: true }, { unit: 'usd' }] },
    });
  });
});
