import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { RETRY_AFTER_MAX_MS, RETRY_AFTER_MIN_MS, Lane, LANE_BOUNDS, type LaneRequest } from './lane.js';

const NOW = 1_000_000;
let ids = 0;
const request = (change: Partial<LaneRequest> = {}): LaneRequest => ({
  id: `turn-${ids++}`,
  tenant: 'a',
  agent: 'main',
  priority: 0,
  weight: 1,
  cost: 100,
  worker: 'one',
  ...change,
});
const laneOf = (change: Partial<typeof LANE_BOUNDS>) => new Lane({ ...LANE_BOUNDS, ...change });
const asked = (lane: Lane, count: number, change: Partial<LaneRequest> = {}) =>
  Array.from({ length: count }, () => {
    const each = request(change);
    return { ...each, refusal: lane.ask(each, NOW) };
  });

describe('a lane', () => {
  test('lets as many run as it may, and the next when one ends, however often that is said', () => {
    const lane = laneOf({ runningMax: 2 });
    const [first, second, third] = asked(lane, 3);
    expect(lane.grant(NOW).map(({ id }) => id)).toEqual([first!.id, second!.id]);
    expect(lane.grant(NOW)).toEqual([]);
    for (const _ of [1, 2]) lane.end(first!.id, 10, NOW);
    expect(lane.grant(NOW).map(({ id }) => id)).toEqual([third!.id]);
    expect([lane.running, lane.waiting]).toEqual([2, 0]);
  });

  test('refuses a tenant that has enough waiting, and no other; and everybody when it is full', () => {
    const lane = laneOf({ runningMax: 1, waitingPerTenantMax: 3, waitingMax: 4 });
    asked(lane, 1);
    lane.grant(NOW);
    expect(asked(lane, 4).map(({ refusal }) => refusal !== null)).toEqual([false, false, false, true]);
    expect(asked(lane, 2, { tenant: 'b' }).map(({ refusal }) => refusal !== null)).toEqual([false, true]);
  });

  test('says when to ask again by how long turns take here, within limits', () => {
    const lane = laneOf({ runningMax: 2, waitingPerTenantMax: 10 });
    const turns = asked(lane, 12);
    lane.grant(NOW);
    expect(asked(lane, 1)[0]!.refusal).toBeNull();
    expect(lane.ask(request(), NOW)).toEqual(null);
    for (const { id } of turns.slice(0, 2)) lane.end(id, 50, NOW + 4_000);
    lane.grant(NOW + 4_000);
    asked(lane, 2);
    // Eleven turns of four seconds, two at once: half of that.
    expect(lane.ask(request(), NOW + 4_000)).toEqual({ retryAfterMs: 11_000 });
    lane.observe({ throttled: true, retryAfterMs: 600_000 }, NOW);
    expect(lane.ask(request(), NOW)?.retryAfterMs).toBeLessThanOrEqual(RETRY_AFTER_MAX_MS);
    expect(RETRY_AFTER_MIN_MS).toBeLessThan(RETRY_AFTER_MAX_MS);
  });

  test('refuses who would wait for half of the time that a turn has', () => {
    const lane = laneOf({ runningMax: 1 });
    const [first] = asked(lane, 1);
    lane.grant(NOW);
    lane.end(first!.id, 10, NOW + 100_000);
    asked(lane, 1);
    lane.grant(NOW);
    expect(asked(lane, 4).map(({ refusal }) => refusal !== null)).toEqual([false, false, false, true]);
    expect(lane.ask(request({ tenant: 'b' }), NOW)).toBeNull();
  });

  test('says when a pause ends while somebody waits for it', () => {
    const lane = laneOf({ runningMax: 2 });
    lane.observe({ throttled: true, retryAfterMs: 1_000 }, NOW);
    expect(lane.wakesAtMs(NOW)).toBeNull();
    asked(lane, 1);
    expect([lane.grant(NOW).length, lane.wakesAtMs(NOW), lane.grant(NOW + 1_000).length]).toEqual([0, NOW + 1_000, 1]);
  });

  test('frees what a dead process had, and nothing else', () => {
    const lane = laneOf({ runningMax: 2 });
    asked(lane, 2, { worker: 'dead' });
    const [living] = asked(lane, 1);
    asked(lane, 1, { worker: 'dead' });
    lane.grant(NOW);
    expect(lane.keepOnly(new Set(['one', 'dead']), NOW)).toBe(false);
    expect(lane.keepOnly(new Set(['one']), NOW)).toBe(true);
    expect(lane.grant(NOW).map(({ id }) => id)).toEqual([living!.id]);
    expect([lane.running, lane.waiting]).toEqual([1, 0]);
  });
});

describe('what a process announces', () => {
  const announced = (each: LaneRequest, isRunning: boolean) => ({ ...each, isRunning });

  test('is taken over by a new owner: what runs counts though it be too much, what waits waits', () => {
    const lane = laneOf({ runningMax: 2, waitingPerTenantMax: 1 });
    const running = [request(), request(), request()];
    const waiting = [request(), request()];
    const all = [...running.map((each) => announced(each, true)), ...waiting.map((each) => announced(each, false))];
    expect(lane.announce('one', all, NOW)).toEqual([]);
    expect([lane.running, lane.waiting, lane.grant(NOW).length]).toEqual([3, 2, 0]);
    lane.end(running[0]!.id, 10, NOW);
    expect(lane.grant(NOW)).toEqual([]);
    lane.end(running[1]!.id, 10, NOW);
    expect(lane.grant(NOW).map(({ id }) => id)).toEqual([waiting[0]!.id]);
  });

  test('ends what it no longer has, and says again what it has not heard', () => {
    const lane = laneOf({ runningMax: 2 });
    const turns = asked(lane, 3).map(({ refusal: _, ...each }) => each);
    lane.grant(NOW);
    const unheard = lane.announce('one', [announced(turns[1]!, false), announced(turns[2]!, false)], NOW);
    expect(unheard).toEqual([turns[1]!.id]);
    expect([lane.running, lane.waiting]).toEqual([1, 1]);
    lane.announce('other', [], NOW);
    expect([lane.running, lane.waiting]).toEqual([1, 1]);
  });
});

test('whatever happens, a lane lets no more run than it may, and none idle while one waits', () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ ask: fc.constantFrom('a', 'b', 'c') }) },
    { weight: 2, arbitrary: fc.record({ end: fc.nat({ max: 50 }) }) },
    { weight: 1, arbitrary: fc.record({ dies: fc.constantFrom('one', 'two') }) },
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 100 }), (runningMax, steps) => {
      const lane = laneOf({ runningMax });
      const running = new Map<string, string>();
      steps.forEach((each, at) => {
        const worker = at % 2 ? 'one' : 'two';
        if ('ask' in each) lane.ask(request({ tenant: each.ask, worker }), NOW);
        else if ('end' in each) {
          const [id] = [...running.keys()].slice(each.end % Math.max(1, running.size));
          if (id) lane.end(id, each.end, NOW);
          if (id) running.delete(id);
        } else {
          lane.keepOnly(new Set(['one', 'two'].filter((name) => name !== each.dies)), NOW);
          for (const [id, of] of running) if (of === each.dies) running.delete(id);
        }
        for (const granted of lane.grant(NOW)) running.set(granted.id, granted.worker);
        expect(lane.running).toBe(running.size);
        expect(lane.running).toBeLessThanOrEqual(runningMax);
        if (lane.waiting > 0) expect(lane.running).toBe(runningMax);
      });
    }),
  );
});
