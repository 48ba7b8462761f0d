import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { sessionOf } from './session.js';

const ofUser = (user: string) => sessionOf('main', undefined, user);

describe('the session of a request', () => {
  test('is the one it names, else that of its user, else none', () => {
    expect(sessionOf('main', 'agent:main:desk', 'ada')).toEqual({ ok: true, value: 'agent:main:desk' });
    expect(ofUser('ada@example.com')).toEqual({ ok: true, value: 'agent:main:openai-user:ada@example.com' });
    expect(sessionOf('main', undefined, null)).toEqual({ ok: true, value: null });
  });

  test('may not be one of those that the platform keeps for itself', () => {
    for (const key of ['subagent:x', 'cron:nightly', 'acp:1'])
      expect(sessionOf('main', key, null)).toMatchObject({ ok: false, code: 'session_reserved' });
    expect(sessionOf('main', 'agent:main:cron:x', null)).toMatchObject({ ok: true });
  });

  test('is printable and at most 400 characters long', () => {
    for (const key of ['', 'two words', 'ä', 'x'.repeat(401)])
      expect(sessionOf('main', key, null)).toMatchObject({ ok: false, code: 'invalid_parameter' });
    expect(sessionOf('main', 'x'.repeat(400), null)).toMatchObject({ ok: true });
  });

  test('is never shared by two users, however odd their names', () => {
    expect(ofUser('a b')).not.toEqual(ofUser('a%20b'));
    const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 256 });
    fc.assert(
      fc.property(name, name, (one, other) => {
        const [first, second] = [ofUser(one), ofUser(other)];
        return (
          first.ok &&
          second.ok &&
          /^[\x21-\x7e]{1,400}$/.test(first.value ?? '') &&
          (first.value === second.value) === (one === other)
        );
      }),
    );
  });
});
