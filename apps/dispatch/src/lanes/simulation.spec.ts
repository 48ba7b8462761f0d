import { describe, expect, test } from '@jest/globals';
import {
  type Discipline,
  durationMs,
  fair,
  firstComeFirstServed,
  jainIndex,
  lowestJainIndex,
  requestsPerMinute,
  type SimulatedTenant,
  simulate,
  waitsOf,
} from './simulation.js';

const permits = 200;
const seconds = 60;
const backlogged = (count: number, change: (index: number) => Partial<SimulatedTenant> = () => ({})) =>
  Array.from({ length: count }, (_, index): SimulatedTenant => ({
    name: `t${index}`,
    weight: 1,
    agents: 1,
    load: { open: 300 },
    tokens: 200,
    ...change(index),
  }));
const fairness = (tenants: SimulatedTenant[], discipline: Discipline) =>
  lowestJainIndex(simulate(tenants, discipline, { seconds, seed: 7 }), tenants, {
    windowSeconds: 10,
    fromSecond: 0,
    toSecond: seconds,
  });

describe('over every ten seconds of backlog', () => {
  const loads: [string, SimulatedTenant[]][] = [
    ['two tenants, one with ten times as many waiting', backlogged(2, (at) => ({ load: { open: at ? 300 : 3_000 } }))],
    [
      'twenty tenants, one with ten times as many waiting',
      backlogged(20, (at) => ({ load: { open: at ? 100 : 1_000 } })),
    ],
    ['ten tenants with a hundred agents or one', backlogged(10, (at) => ({ agents: at % 2 ? 100 : 1 }))],
    ['four tenants of weights one to four', backlogged(4, (at) => ({ weight: 1 + at }))],
    [
      'twenty tenants whose turns are from short to eight times as long',
      backlogged(20, (at) => ({ load: { open: 100 }, tokens: 50 * (1 + (at % 8)) })),
    ],
  ];
  test.each(loads)('%s share a lane with a Jain index of 0.99', (_, tenants) => {
    expect(fairness(tenants, fair(permits))).toBeGreaterThanOrEqual(0.99);
  });

  test('one queue for all, or a limit of requests a minute, does not do that', () => {
    const [, tenants] = loads[1]!;
    expect(fairness(tenants, firstComeFirstServed(permits))).toBeLessThan(0.5);
    const sizes = backlogged(10, (at) => ({ tokens: at % 2 ? 50 : 400 }));
    const perMinute = ((permits / durationMs(200)) * 60_000) / sizes.length;
    expect(fairness(sizes, requestsPerMinute(permits, perMinute))).toBeLessThan(0.9);
  });
});

test('a neighbour at a hundred times its share makes a tenant wait for one turn at most', () => {
  const victim: SimulatedTenant = { name: 'victim', weight: 1, agents: 1, load: { perSecond: 0.5 }, tokens: 200 };
  const noisy: SimulatedTenant = { name: 'noisy', weight: 1, agents: 100, load: { perSecond: 180 }, tokens: 200 };
  const longest = (tenants: SimulatedTenant[], discipline: Discipline) =>
    Math.max(...waitsOf(simulate(tenants, discipline, { seconds: 300, seed: 7 }), 'victim'));
  const oneTurnMs = durationMs(300);
  expect(longest([victim], fair(8))).toBe(0);
  expect(longest([victim, noisy], fair(8))).toBeLessThanOrEqual(oneTurnMs);
  expect(longest([victim, noisy], firstComeFirstServed(8))).toBeGreaterThan(10 * oneTurnMs);
});

test('the index is 1 where all have the same and one nth where one has all', () => {
  expect([jainIndex([3, 3, 3]), jainIndex([0, 0, 5, 0]), jainIndex([0, 0])]).toEqual([1, 0.25, 1]);
});
