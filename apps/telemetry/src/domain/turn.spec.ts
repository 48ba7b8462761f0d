import { describe, expect, test } from '@jest/globals';
import { joinTurns, stages, type TurnEvent, turnOf } from './turn.js';

const turnId = '0198f000-0000-7000-8000-0000000000aa';
const requested: TurnEvent = {
  type: 'TurnRequested',
  data: {
    turnId,
    agent: 'main',
    session: 'agent:main:openai-user:ada',
    user: 'ada',
    message: 'sealed',
    model: 'openai/gpt-5',
    worker: 'w',
    source: 'chat',
    keyId: null,
    requestedAt: '2026-11-22T10:00:00.000Z',
    startsNow: false,
  },
};
const started = (worker: string, startedAt: string): TurnEvent => ({
  type: 'TurnStarted',
  data: { turnId, worker, startedAt },
});
const first = started('one', '2026-11-22T10:00:01.000Z');
const again = started('two', '2026-11-22T10:00:07.000Z');
const completed: TurnEvent = {
  type: 'TurnCompleted',
  data: { turnId, reply: 'sealed', usage: null, completedAt: '2026-11-22T10:00:09.000Z', calls: [], tools: [] },
};

describe('what is known of a turn', () => {
  test('its stage never goes back: a completed turn stays completed when its start arrives late', () => {
    for (const order of permutations([requested, first, completed])) {
      const turn = order.map(turnOf).reduce(joinTurns);
      expect(stages[turn.stage]).toBe('completed');
      expect(turn).toMatchObject({ agent: 'main', user: 'ada', startedAt: '2026-11-22T10:00:01.000Z' });
    }
  });

  test('a turn that another worker took over has run since its first start', () => {
    for (const order of permutations([requested, first, again])) {
      const turn = order.map(turnOf).reduce(joinTurns);
      expect(stages[turn.stage]).toBe('running');
      expect(turn.startedAt).toBe('2026-11-22T10:00:01.000Z');
      expect(turn.endedAt).toBeUndefined();
    }
  });

  test('one that did not have to wait runs since its request', () => {
    const begun: TurnEvent = { ...requested, data: { ...requested.data, startsNow: true } };
    expect(turnOf(begun)).toMatchObject({ startedAt: '2026-11-22T10:00:00.000Z', agent: 'main' });
    expect(stages[turnOf(begun).stage]).toBe('running');
    expect(turnOf(requested)).not.toHaveProperty('startedAt');
  });

  test('hearing it twice changes nothing', () => {
    const once = [requested, first, completed].map(turnOf).reduce(joinTurns);
    expect([requested, first, completed].map(turnOf).reduce(joinTurns, once)).toEqual(once);
  });
});

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length <= 1) return [[...items]];
  return items.flatMap((item, at) => permutations(items.toSpliced(at, 1)).map((rest) => [item, ...rest]));
}
