import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { budgets } from '@reef/contracts';
import { fold } from '@reef/eventing/pure';
import { expire } from '../../test/builders.js';
import { budget, type BudgetEvent } from './budget.js';
import { standings } from './standing.js';

interface Stored {
  readonly type: 'WindowOpened' | 'Reserved';
  readonly schemaVersion: number;
  readonly data: Record<string, unknown>;
}

/** Events as they were stored before there were plans, zones and workers, read as the store reads them. */
function readStored(): BudgetEvent[] {
  const file = new URL('../../test/fixtures/before-plans.json', import.meta.url);
  const stored = JSON.parse(readFileSync(file, 'utf8')) as Stored[];
  return stored.map(({ type, schemaVersion, data }) => {
    const contract = budgets.events[type];
    let lifted = data;
    for (let version = schemaVersion; version < contract.schemaVersion; version++) {
      const lift = contract.upcast[version];
      if (!lift) throw new Error(`${type} cannot be lifted from version ${version}`);
      lifted = lift(lifted);
    }
    return { type, data: contract.data.parse(lifted) } as BudgetEvent;
  });
}

const NOW_MS = Date.parse('2026-11-22T12:05:00Z');

test('books from before there were plans fold: their limits hold as the tenant’s own, and nothing is narrower than it was', () => {
  const state = fold(budget, budget.initial, readStored());
  if (state.status !== 'open') throw new Error('not opened');
  expect(state).toMatchObject({
    timeZone: 'UTC',
    plan: { plan: { limits: [], markupBasisPoints: 0, pricePico: 0n } },
    topUps: [],
  });
  expect(standings(state, NOW_MS)).toMatchObject([
    { unit: 'usd', setBy: 'tenant', cap: 5_000_000_000_000n, posted: 0n, held: 52_500_000n },
    { unit: 'tokens', setBy: 'tenant', cap: 100_000n, posted: 4_000n, held: 200n },
  ]);
});

test('a reservation that named no worker dies with none, and expires in its time', () => {
  const state = fold(budget, budget.initial, readStored());
  expect(budget.decide(expire(NOW_MS, { deadWorkers: ['worker-1'] }), state)).toEqual([]);
  expect(budget.decide(expire(NOW_MS + 300_000), state)).toMatchObject([
    { type: 'ReservationExpired', data: { costPico: 10_000_000n } },
  ]);
});
