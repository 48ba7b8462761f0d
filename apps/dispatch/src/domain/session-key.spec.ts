import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { sessionKey } from '@reef/contracts';
import { SESSION_KEY_CHARACTERS_MAX, sessionKeyOf } from './session-key.js';

const keyOf = (wanted: string | null, agent = 'main') => sessionKeyOf(agent, wanted, 'turn-1');

test('a request that is to be forgotten has a session of its own', () => {
  expect(keyOf(null)).toEqual({ ok: true, key: 'agent:main:openai:turn-1' });
});

test("a client's key is kept below its agent, spelt out or not", () => {
  expect(keyOf('desk')).toEqual({ ok: true, key: 'agent:main:desk' });
  expect(keyOf('agent:main:desk')).toEqual({ ok: true, key: 'agent:main:desk' });
  expect(keyOf('agents:desk')).toEqual({ ok: true, key: 'agent:main:agents:desk' });
});

test('a key of another agent is refused, also of one whose name begins alike', () => {
  for (const key of ['agent:other:desk', 'agent:main2:desk', 'agent:main', 'agent:'])
    expect(keyOf(key)).toMatchObject({ ok: false, code: 'session_reserved' });
});

test('keys that the platform keeps for itself are refused in either spelling', () => {
  for (const key of ['subagent:1', 'cron:nightly', 'acp:x'])
    for (const wanted of [key, `agent:main:${key}`])
      expect(keyOf(wanted)).toMatchObject({ ok: false, code: 'session_reserved' });
  expect(keyOf('cron')).toMatchObject({ ok: true });
  expect(keyOf('my-cron:nightly')).toMatchObject({ ok: true });
});

test('a key of 400 characters is kept, one of 401 is refused, counted with the part of its agent', () => {
  const room = SESSION_KEY_CHARACTERS_MAX - 'agent:main:'.length;
  expect(keyOf('x'.repeat(room))).toMatchObject({ ok: true });
  expect(keyOf('x'.repeat(room + 1))).toMatchObject({ ok: false, code: 'invalid_input' });
  expect(keyOf(`agent:main:${'x'.repeat(room)}`)).toMatchObject({ ok: true });
});

test('whatever key is accepted is below its agent and fits the contract, and asking for it again gives the same', () => {
  const wanted = fc.oneof(
    fc.stringMatching(/^[\x21-\x7e]{1,400}$/),
    fc.stringMatching(/^(agent:(main|other):)?(cron:|acp:)?[a-z:]{0,20}$/).filter((key) => key !== ''),
  );
  fc.assert(
    fc.property(wanted, (key) => {
      const given = keyOf(key);
      if (!given.ok) return;
      expect(given.key.startsWith('agent:main:')).toBe(true);
      expect(sessionKey.safeParse(given.key).success).toBe(true);
      expect(keyOf(given.key)).toEqual(given);
    }),
  );
});
