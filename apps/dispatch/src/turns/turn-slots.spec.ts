import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { TurnSlots, WAITING_MAX, WAITING_PER_TENANT_MAX } from './turn-slots.js';

/** Slots of which the test sees who got one, in order. */
function slotsOf(runningMax: number) {
  const slots = new TurnSlots(runningMax);
  const got: string[] = [];
  return {
    slots,
    got,
    ask: (name: string) => void slots.acquire(name.replace(/\d+$/, '')).then(() => got.push(name)),
    async release() {
      slots.release();
      await turnOfTheLoop();
    },
  };
}

describe('the slots of a process', () => {
  test('are given at once while there are any, and then when one is released', async () => {
    const { slots, got, ask, release } = slotsOf(2);
    for (const name of ['a1', 'a2', 'a3']) ask(name);
    await turnOfTheLoop();
    expect(got).toEqual(['a1', 'a2']);
    expect([slots.running, slots.waiting]).toEqual([2, 1]);
    await release();
    expect(got).toEqual(['a1', 'a2', 'a3']);
    expect([slots.running, slots.waiting]).toEqual([2, 0]);
    await release();
    await release();
    expect(slots.running).toBe(0);
  });

  test('go round the tenants that wait: the one with many waits no less than the others', async () => {
    const { got, ask, release } = slotsOf(1);
    for (const name of ['x1', 'a1', 'a2', 'a3', 'a4', 'b1', 'c1', 'c2']) ask(name);
    for (let released = 0; released < 7; released++) await release();
    expect(got).toEqual(['x1', 'a1', 'b1', 'c1', 'a2', 'c2', 'a3', 'a4']);
  });

  test('let a tenant that comes late wait for one round at most', async () => {
    const { got, ask, release } = slotsOf(1);
    for (const name of ['x1', 'a1', 'a2', 'a3', 'b1', 'b2']) ask(name);
    await release();
    ask('c1');
    for (let released = 0; released < 3; released++) await release();
    expect(got).toEqual(['x1', 'a1', 'b1', 'a2', 'c1']);
  });

  test(`let ${WAITING_PER_TENANT_MAX} turns of one tenant wait, and of others still more`, () => {
    const { slots, ask } = slotsOf(1);
    expect(slots.hasRoom('a')).toBe(true);
    ask('x1');
    for (let number = 1; number < WAITING_PER_TENANT_MAX; number++) ask('a1');
    expect(slots.hasRoom('a')).toBe(true);
    ask('a1');
    expect(slots.hasRoom('a')).toBe(false);
    expect(slots.hasRoom('b')).toBe(true);
  });

  test(`let ${WAITING_MAX} turns wait in all`, () => {
    const { slots, ask } = slotsOf(1);
    ask('x1');
    const tenants = WAITING_MAX / WAITING_PER_TENANT_MAX;
    for (let number = 0; number < WAITING_MAX - 1; number++) ask(`${'abcdefgh'[number % (tenants + 1)]}1`);
    expect(slots.waiting).toBe(WAITING_MAX - 1);
    expect(slots.hasRoom('new')).toBe(true);
    ask('z1');
    expect(slots.hasRoom('new')).toBe(false);
    expect(slots.hasRoom('x')).toBe(false);
  });

  test('are never given to more than may run, never lie idle while somebody waits, and are given to all in the end', async () => {
    const asks = fc.array(fc.oneof(fc.constantFrom('a1', 'b1', 'c1'), fc.constant('release')), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), asks, async (runningMax, steps) => {
        const { slots, got, ask, release } = slotsOf(runningMax);
        let asked = 0;
        for (const step of steps) {
          if (step !== 'release') {
            asked++;
            ask(step);
          } else if (slots.running > 0) await release();
          expect(slots.running).toBeLessThanOrEqual(runningMax);
          if (slots.waiting > 0) expect(slots.running).toBe(runningMax);
        }
        while (slots.running > 0) await release();
        expect(got).toHaveLength(asked);
      }),
    );
  });
});
