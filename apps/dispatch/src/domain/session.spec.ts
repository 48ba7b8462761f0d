import { describe, expect, test } from '@jest/globals';
import { dispatch } from '@reef/contracts';
import { scenario } from '@reef/testing';
import {
  begin,
  begun,
  cancel,
  cancelled,
  complete,
  completed,
  endCancelled,
  fail,
  failed,
  having,
  idOf,
  interrupt,
  interrupted,
  NOON,
  request,
  requested,
  started,
  worked,
  workOf,
} from '../../test/builders.js';
import {
  CHARACTERS_REMEMBERED_MAX,
  historyOf,
  OPEN_TURNS_MAX,
  type Session,
  sessionDecider,
  type SessionEvent,
  TURNS_REMEMBERED_MAX,
} from './session.js';

const given = scenario(sessionDecider);
const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);
/** A turn from its request to its completion. */
const turn = (name: string | number, message = `message ${name}`, reply = `reply ${name}`): SessionEvent[] => [
  begun(name, { message }),
  completed(name, { reply }),
];
const namesIn = (session: Session) => [...session.turns.keys()];
const statusOf = (session: Session, name: string | number) => session.turns.get(idOf(name))?.status;

describe('a turn of a session', () => {
  test('runs at once where no other is open', () => {
    given().when(request('a')).then(begun('a'));
    given(...turn('a'))
      .when(request('b'))
      .then(begun('b'));
    given(begun('a'), failed('a')).when(request('b')).then(begun('b'));
  });

  test('waits while another is open, and begins when it has ended', () => {
    const waiting = [begun('a'), requested('b'), requested('c')];
    given(begun('a')).when(request('b')).then(requested('b'));
    given(...waiting)
      .when(begin('b'))
      .refuses('session_busy');
    given(...waiting, completed('a'))
      .when(begin('b'))
      .then(started('b'));
    given(...waiting, cancelled('a'))
      .when(begin('b', 'worker-2'))
      .then(started('b', 'worker-2'));
  });

  test('begins in the order of the requests, whoever asks first', () => {
    const waiting = [begun('a'), requested('b'), requested('c'), completed('a')];
    given(...waiting)
      .when(begin('c'))
      .refuses('session_busy');
    given(...waiting, cancelled('b'))
      .when(begin('c'))
      .then(started('c'));
  });

  test('does not overtake one that waits when a new one is requested between two turns', () => {
    given(begun('a'), requested('b'), completed('a')).when(request('c')).then(requested('c'));
  });

  test('that begins twice begins once, and one that is over does not begin', () => {
    given(begun('a')).when(begin('a')).nothing();
    given(begun('a'), completed('a')).when(begin('a')).refuses('turn_not_found');
    given().when(begin('a')).refuses('turn_not_found');
  });

  test('needs an id of its own, and says so even where the queue is full', () => {
    given(...turn('a'))
      .when(request('a'))
      .refuses('turn_reused');
    given(begun(1), ...numbers(2, OPEN_TURNS_MAX).map((number) => requested(number)))
      .when(request(1))
      .refuses('turn_reused');
  });

  test(`is the ${OPEN_TURNS_MAX}th of ${OPEN_TURNS_MAX} that may be open, and the next is refused until one ends`, () => {
    const almost = [begun(1), ...numbers(2, OPEN_TURNS_MAX - 1).map((number) => requested(number))];
    given(...almost)
      .when(request('last'))
      .then(requested('last'));
    given(...almost, requested('last'))
      .when(request('more'))
      .refuses('session_queue_full', { openTurns: OPEN_TURNS_MAX });
    given(...almost, requested('last'), completed(1))
      .when(request('more'))
      .then(requested('more'));
  });
});

describe('the end of a turn', () => {
  const running = [begun('a')];

  test('is told with the calls that were made for it', () => {
    const work = workOf('a');
    given(...running)
      .when(having(work, complete('a')))
      .then(completed('a', work));
    given(...running)
      .when(having(work, fail('a')))
      .then(failed('a', 'provider_error', work));
    given(...running)
      .when(having(work, endCancelled('a')))
      .then(cancelled('a', work));
    expect(given(...running, completed('a', work)).state.turns.get(idOf('a'))).toMatchObject({
      status: 'completed',
      reply: 'reply a',
      failure: null,
      usage: { inputTokens: 10 },
      endedAt: NOON,
    });
  });

  test('from outside is followed by what had been done, once, when the engine has stopped', () => {
    for (const ended of [cancelled('a'), interrupted('a')]) {
      given(...running, ended)
        .when(having(workOf('a'), endCancelled('a')))
        .then(worked('a'));
      given(...running, ended, worked('a'))
        .when(having(workOf('a'), endCancelled('a')))
        .nothing();
      expect(statusOf(given(...running, ended, worked('a')).state, 'a')).toBe(
        statusOf(given(...running, ended).state, 'a'),
      );
    }
    given(...running, completed('a', workOf('a')))
      .when(having(workOf('a'), complete('a')))
      .nothing();
    given()
      .when(having(workOf('a'), complete('a')))
      .nothing();
  });

  test('may be a failure or a cancellation, also of one that never ran', () => {
    given(...running)
      .when(fail('a', 'budget_exhausted'))
      .then(failed('a', 'budget_exhausted'));
    given(...running)
      .when(endCancelled('a'))
      .then(cancelled('a'));
    given(...running, requested('b'))
      .when(fail('b', 'workspace_unavailable'))
      .then(failed('b', 'workspace_unavailable'));
    expect(given(...running, failed('a', 'budget_exhausted')).state.turns.get(idOf('a'))).toMatchObject({
      status: 'failed',
      reply: null,
      failure: { code: 'budget_exhausted', message: 'it did not work' },
    });
  });

  test('comes once: what ends it first is what happened', () => {
    for (const ended of [completed('a'), failed('a'), cancelled('a')]) {
      for (const again of [complete('a'), fail('a'), endCancelled('a'), cancel('a'), interrupt('a')]) {
        given(...running, ended)
          .when(again)
          .nothing();
      }
    }
    given().when(complete('a')).nothing();
  });

  test('is a cancellation where somebody asks for it, queued or running, and nothing where there is no such turn', () => {
    given(...running)
      .when(cancel('a'))
      .then(cancelled('a'));
    given(...running, requested('b'))
      .when(cancel('b'))
      .then(cancelled('b'));
    given(...running)
      .when(cancel('b'))
      .refuses('turn_not_found');
  });

  test('is an interruption where its own worker died, and not where another did', () => {
    given(...running)
      .when(interrupt('a'))
      .then(interrupted('a'));
    given(...running)
      .when(interrupt('a', 'worker-2'))
      .nothing();
    given(...running, requested('b', { worker: 'worker-2' }))
      .when(interrupt('b', 'worker-2'))
      .then(interrupted('b'));
    given().when(interrupt('a')).nothing();
  });

  test('by interruption lets the next one of a living worker begin', () => {
    given(...running, requested('b', { worker: 'worker-2' }), interrupted('a'))
      .when(begin('b', 'worker-2'))
      .then(started('b', 'worker-2'));
  });
});

describe('a session', () => {
  test('belongs to the agent and user of its first turn, and counts all turns', () => {
    const later = '2026-11-22T13:00:00.000Z';
    const { state } = given(...turn('a'), requested('b', { user: 'bob', requestedAt: later }));
    expect(state).toMatchObject({ agent: 'main', user: 'ada', count: 2, startedAt: NOON, lastTurnAt: later });
    expect(given(requested('a', { user: null }), requested('b', { user: 'bob' })).state.user).toBeNull();
  });

  test(`remembers ${TURNS_REMEMBERED_MAX} ended turns and forgets the one before them`, () => {
    const full = given(...numbers(1, TURNS_REMEMBERED_MAX).flatMap((number) => turn(number))).state;
    expect(full.turns.size).toBe(TURNS_REMEMBERED_MAX);
    const more = given(...numbers(1, TURNS_REMEMBERED_MAX + 1).flatMap((number) => turn(number))).state;
    expect(namesIn(more)).toEqual(numbers(2, TURNS_REMEMBERED_MAX + 1).map(idOf));
    expect(more.count).toBe(TURNS_REMEMBERED_MAX + 1);
  });

  test('remembers open turns beside those that ended', () => {
    const { state } = given(
      ...numbers(1, TURNS_REMEMBERED_MAX).flatMap((number) => turn(number)),
      ...numbers(100, 99 + OPEN_TURNS_MAX).map((number) => requested(number)),
    );
    expect(state.turns.size).toBe(TURNS_REMEMBERED_MAX + OPEN_TURNS_MAX);
  });

  test('remembers so many characters of ended turns, and one more costs it the oldest', () => {
    const newest = numbers(2, 9);
    const size = CHARACTERS_REMEMBERED_MAX / 10;
    const eight = newest.flatMap((number) => turn(number, 'm'.repeat(size / 2), 'r'.repeat(size / 2)));
    const oldest = (characters: number) => turn(1, 'm'.repeat(characters - 1), 'r');
    expect(namesIn(given(...oldest(2 * size), ...eight).state)).toHaveLength(9);
    expect(namesIn(given(...oldest(2 * size + 1), ...eight).state)).toEqual(newest.map(idOf));
  });

  test('still knows all turns that one commit may have ended, however long they are and in whichever order they end', () => {
    const long = 'm'.repeat(CHARACTERS_REMEMBERED_MAX);
    const open = numbers(1, OPEN_TURNS_MAX);
    const { state } = given(
      ...open.map((number) => requested(number, { message: long })),
      started(1),
      ...open.slice(1).map((number) => cancelled(number)),
      completed(1),
    );
    expect(statusOf(state, 1)).toBe('completed');
    expect(open.slice(1).map((number) => statusOf(state, number))).toEqual(open.slice(1).map(() => 'cancelled'));
  });
});

test('a turn that ran while many others were cancelled is known when it ends', () => {
  const long = 'm'.repeat(CHARACTERS_REMEMBERED_MAX);
  const others = numbers(2, 3 * OPEN_TURNS_MAX).flatMap((number) => [requested(number), cancelled(number)]);
  const { state } = given(begun(1, { message: long }), ...others, completed(1));
  expect(statusOf(state, 1)).toBe('completed');
  expect(namesIn(state).at(-1)).toBe(idOf(1));
});

describe('the history that a model is told', () => {
  const said = (session: Session, charactersMax = 1_000) =>
    historyOf(session, charactersMax).map(({ role, content }) => `${role}: ${content}`);

  test('is what was said and answered, oldest first', () => {
    expect(said(given(...turn('a'), ...turn('b')).state)).toEqual([
      'user: message a',
      'assistant: reply a',
      'user: message b',
      'assistant: reply b',
    ]);
  });

  test('leaves out what failed, was cancelled, had no answer or is not over', () => {
    const { state } = given(
      requested('a'),
      failed('a'),
      requested('b'),
      cancelled('b'),
      ...turn('c', 'say nothing', ''),
      ...turn('d'),
      begun('e'),
      requested('f'),
    );
    expect(said(state)).toEqual(['user: message d', 'assistant: reply d']);
  });

  test('takes whole turns from the newest on, up to the last character that fits', () => {
    const { state } = given(...turn('a', '12345', '12345'), ...turn('b', '1234', '123456'));
    expect(said(state, 20)).toHaveLength(4);
    expect(said(state, 19)).toEqual(['user: 1234', 'assistant: 123456']);
    expect(said(state, 9)).toEqual([]);
  });

  test('has no hole: what is older than a turn that does not fit stays out too', () => {
    const { state } = given(
      ...turn('a', '1', '1'),
      ...turn('b', 'm'.repeat(50), 'r'.repeat(50)),
      ...turn('c', '1', '1'),
    );
    expect(said(state, 50)).toEqual(['user: 1', 'assistant: 1']);
  });
});

describe('events of the first version', () => {
  const old = (type: keyof typeof dispatch.events, data: Record<string, unknown>): SessionEvent => {
    const contract = dispatch.events[type];
    const lifted = contract.schemaVersion === 1 ? data : (contract.upcast[1]?.(data) ?? data);
    return { type, data: contract.data.parse(lifted) } as SessionEvent;
  };
  const turnId = idOf('a');
  const usage = { inputTokens: 10, cacheReadTokens: 0, cacheWriteTokens: 0, outputTokens: 5, reasoningTokens: 0 };
  const model = 'simulator/sim-echo';
  const request = { turnId, agent: 'main', session: 'agent:main:desk', user: 'ada', message: 'Hi', model };
  const written = [
    old('TurnRequested', { ...request, source: 'chat', keyId: null, worker: 'worker-1', requestedAt: NOON }),
    old('TurnStarted', { turnId, worker: 'worker-1', startedAt: NOON }),
    old('ModelCalled', {
      turnId,
      callId: idOf('c'),
      model,
      outcome: 'completed',
      usage,
      finishReason: 'stop',
      calledAt: NOON,
      durationMs: 5,
    }),
    old('ToolCalled', { turnId, toolCallId: '1.1', name: 'read_file', failed: false, calledAt: NOON, durationMs: 5 }),
  ];

  test('still fold: a turn waited for its start, and its calls were told before its end', () => {
    const { state } = given(...written, old('TurnCompleted', { turnId, reply: 'Hello', usage, completedAt: NOON }));
    expect(state.turns.get(turnId)).toMatchObject({ status: 'completed', reply: 'Hello', isTold: true });
    expect(statusOf(given(...written.slice(0, 1)).state, 'a')).toBe('queued');
    expect(statusOf(given(...written.slice(0, 2)).state, 'a')).toBe('running');
  });

  test('still fold where they tell of a failure or a cancellation', () => {
    const failure = { turnId, code: 'provider_error', message: 'no', failedAt: NOON };
    expect(statusOf(given(...written, old('TurnFailed', failure)).state, 'a')).toBe('failed');
    expect(statusOf(given(...written, old('TurnCancelled', { turnId, cancelledAt: NOON })).state, 'a')).toBe(
      'cancelled',
    );
  });
});
