import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { type TurnSlot, TurnSlots, WAITING_MAX, WAITING_PER_TENANT_MAX } from './turn-slots.js';

/** Slots of which the test sees who got one, in order. */
function slotsOf(runningMax: number) {
  const slots = new TurnSlots(runningMax);
  const got: string[] = [];
  const held: TurnSlot[] = [];
  return {
    slots,
    got,
    ask(name: string) {
      const slot = slots.admit(name.replace(/\d+$/, ''));
      void slot?.run().then(() => held.push(slot) && got.push(name));
    },
    async release() {
      await turnOfTheLoop();
      held.shift()?.release();
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

  test('are not taken by turns that wait for something else, nor kept by those that never ran', async () => {
    const { slots, got, ask } = slotsOf(1);
    const waits = slots.admit('a');
    ask('b1');
    await turnOfTheLoop();
    expect([got, slots.running, slots.waiting]).toEqual([['b1'], 1, 1]);
    for (const _ of [1, 2]) waits?.release();
    expect([slots.running, slots.waiting]).toEqual([1, 0]);
  });

  test(`let ${WAITING_PER_TENANT_MAX} turns of one tenant wait, and of others still more`, () => {
    const slots = new TurnSlots();
    const last = Array.from({ length: WAITING_PER_TENANT_MAX }, () => slots.admit('a')).at(-1);
    expect(last).not.toBeNull();
    expect(slots.admit('a')).toBeNull();
    expect(slots.admit('b')).not.toBeNull();
    last?.release();
    expect(slots.admit('a')).not.toBeNull();
  });

  test(`let ${WAITING_MAX} turns wait in all`, () => {
    const slots = new TurnSlots();
    for (let number = 0; number < WAITING_MAX; number++) expect(slots.admit(`tenant-${number % 7}`)).not.toBeNull();
    expect(slots.admit('new')).toBeNull();
    expect(slots.waiting).toBe(WAITING_MAX);
  });

  test('are never given to more than may run, never lie idle while somebody waits, and are given to all in the end', async () => {
    const asks = fc.array(fc.oneof(fc.constantFrom('a1', 'b1', 'c1'), fc.constant('release')), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), asks, async (runningMax, steps) => {
        const { slots, got, ask, release } = slotsOf(runningMax);
        let asked = 0;
        for (const step of steps) {
          if (step === 'release') await release();
          else {
            asked++;
            ask(step);
          }
          await turnOfTheLoop();
          expect(slots.running).toBeLessThanOrEqual(runningMax);
          if (slots.waiting > 0) expect(slots.running).toBe(runningMax);
        }
        while (slots.running > 0) await release();
        expect(got).toHaveLength(asked);
      }),
    );
  });
});
