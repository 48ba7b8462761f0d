import { describe, expect, test } from '@jest/globals';
import { scenario } from '@reef/testing';
import { MEMORIES_MAX, memoriesDecider, type MemoriesCommand, type MemoryEvent } from './memories.js';

const given = scenario(memoriesDecider);

const fact = (name: string, text = `a fact called ${name}`) => ({
  memoryId: name,
  agent: 'main',
  user: 'ada',
  text,
  textHash: `hash of ${text}`,
  turnId: null,
  rememberedAt: '2026-11-01T10:00:00.000Z',
});
const remember = (data: ReturnType<typeof fact>): MemoriesCommand => ({ type: 'remember', data });
const remembered = (data: ReturnType<typeof fact>): MemoryEvent => ({ type: 'Remembered', data });
const forgetting = (memoryId: string) => ({ memoryId, forgottenAt: '2026-11-02T10:00:00.000Z' });
const forget = (memoryId: string): MemoriesCommand => ({ type: 'forget', data: forgetting(memoryId) });
const forgotten = (memoryId: string): MemoryEvent => ({ type: 'Forgotten', data: forgetting(memoryId) });

describe('remembering', () => {
  test('keeps a fact', () =>
    given()
      .when(remember(fact('tea')))
      .then(remembered(fact('tea'))));

  test('keeps one memory of a text that is said twice', () =>
    given(remembered(fact('tea', 'Ada drinks tea')))
      .when(remember(fact('again', 'Ada drinks tea')))
      .nothing());

  test('keeps a text again once it was forgotten', () =>
    given(remembered(fact('tea', 'Ada drinks tea')), forgotten('tea'))
      .when(remember(fact('again', 'Ada drinks tea')))
      .then(remembered(fact('again', 'Ada drinks tea'))));

  const facts = (count: number) => Array.from({ length: count }, (_, index) => remembered(fact(`fact-${index}`)));

  test('takes the 5,000th fact', () =>
    given(...facts(MEMORIES_MAX - 1))
      .when(remember(fact('last')))
      .then(remembered(fact('last'))));

  test('refuses the 5,001st fact, and says how many there may be', () =>
    given(...facts(MEMORIES_MAX))
      .when(remember(fact('one too many')))
      .refuses('too_many_memories', { memoriesMax: 5_000, charactersMax: 1_000_000 }));

  test('takes a million characters in all, and not one more', () => {
    const longFacts = Array.from({ length: 250 }, (_, index) =>
      remembered(fact(`fact-${index}`, `${index} `.padEnd(4_000, 'x'))),
    );
    const [last, tooLong] = [fact('last', 'y'.repeat(4_000)), fact('last', 'y'.repeat(4_001))];
    given(...longFacts.slice(1))
      .when(remember(last))
      .then(remembered(last));
    given(...longFacts.slice(1))
      .when(remember(tooLong))
      .refuses('too_many_memories');
    given(...longFacts, forgotten('fact-7'))
      .when(remember(last))
      .then(remembered(last));
  });

  test('still knows the texts it has when there is no room for more', () =>
    given(...facts(MEMORIES_MAX))
      .when(remember(fact('again', 'a fact called fact-7')))
      .nothing());

  test('has room again after one fact is forgotten', () =>
    given(...facts(MEMORIES_MAX), forgotten('fact-0'))
      .when(remember(fact('last')))
      .then(remembered(fact('last'))));
});

describe('forgetting', () => {
  test('drops a fact and keeps the others', () => {
    given(remembered(fact('tea')), remembered(fact('cake')))
      .when(forget('tea'))
      .then(forgotten('tea'));
    const { state } = given(remembered(fact('tea')), remembered(fact('cake')), forgotten('tea'));
    expect(state.items.map(({ memoryId }) => memoryId)).toEqual(['cake']);
  });

  test('refuses a fact that was forgotten before', () =>
    given(remembered(fact('tea')), forgotten('tea'))
      .when(forget('tea'))
      .refuses('memory_not_found'));

  test('refuses a fact that never was', () => given().when(forget('tea')).refuses('memory_not_found'));
});

test('the state holds no text', () => {
  const { state } = given(remembered(fact('secret', 'the safe opens with 4711')));
  expect(Object.keys(state.items[0]!)).toEqual(['memoryId', 'textHash', 'characters', 'rememberedAt']);
});
