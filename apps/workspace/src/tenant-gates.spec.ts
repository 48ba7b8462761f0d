import { describe, expect, test } from '@jest/globals';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { TenantGates } from './tenant-gates.js';

describe("a tenant's gate", () => {
  test('lets changes of one tenant in one at a time, and those of two tenants together', async () => {
    const gates = new TenantGates(10);
    const log: string[] = [];
    const change = (tenant: string, name: string) =>
      gates.change(tenant, async () => {
        log.push(`${name} begins`);
        await nextTurn();
        log.push(`${name} ends`);
      });
    await Promise.all([change('acme', 'one'), change('acme', 'two'), change('globex', 'three')]);
    expect(log).toEqual(['one begins', 'three begins', 'one ends', 'two begins', 'three ends', 'two ends']);
  });

  test('keeps readers out while a change settles, and a change from settling while readers are inside', async () => {
    const gates = new TenantGates(10);
    const log: string[] = [];
    const reader = (name: string) =>
      gates.read('acme', async () => {
        log.push(`${name} in`);
        await nextTurn();
        await nextTurn();
        log.push(`${name} out`);
      });
    const first = reader('first');
    const change = gates.change('acme', async (settling) => {
      log.push('prepared');
      await settling(async () => {
        log.push('settles');
        await nextTurn();
        log.push('settled');
      });
    });
    await nextTurn();
    await Promise.all([first, change, reader('second')]);
    expect(log).toEqual(['first in', 'prepared', 'first out', 'settles', 'settled', 'second in', 'second out']);
  });

  test('opens again after a change that failed, and goes on with the next', async () => {
    const gates = new TenantGates(10);
    const failing = gates.change('acme', (settling) => settling(() => Promise.reject(new Error('the disk broke'))));
    const next = gates.change('acme', async () => 'done');
    await expect(failing).rejects.toThrow('the disk broke');
    expect(await next).toBe('done');
    expect(await gates.read('acme', async () => 'read')).toBe('read');
  });

  test('turns the third away where two may wait', async () => {
    const gates = new TenantGates(2);
    const results = await Promise.all([1, 2, 3].map((n) => gates.change('acme', async () => n)));
    expect(results).toEqual([1, 2, null]);
  });
});
