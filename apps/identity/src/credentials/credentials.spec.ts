import { describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { Credentials } from './credentials.js';
import { Pepper } from './pepper.js';

const PLATFORM_KEY = 'reef_platform_ops_0123456789abcdef';
const ADA = '019aa000-0000-7000-8000-000000000001';
const SESSION = '019aa000-0000-7000-8000-000000000002';
const pepper = new Pepper(randomBytes(32));
const credentials = new Credentials(pepper, PLATFORM_KEY);
const changed = (text: string, at: number) =>
  text.slice(0, at) + (text.at(at) === 'a' ? 'b' : 'a') + text.slice(at + 1);

describe('an API key', () => {
  const keyId = credentials.newKeyId();
  const key = credentials.issueKey('acme', keyId);

  test('names its tenant and itself', () => {
    expect(keyId).toMatch(/^[a-z0-9]{16}$/);
    expect(key.text).toMatch(new RegExp(`^reef_acme_${keyId}_[0-9a-f]{80}$`));
    expect(credentials.parse(key.text)).toMatchObject({ kind: 'key', tenant: 'acme', keyId });
  });

  test('is told once: the hash that is kept does not hold it, and only its secret matches', () => {
    const parsed = credentials.parse(key.text);
    const secret = parsed?.kind === 'key' ? parsed.secret : '';
    expect(key.secretHash).not.toContain(secret);
    expect(pepper.matches('key', secret, key.secretHash)).toBe(true);
    expect(pepper.matches('key', changed(secret, 0), key.secretHash)).toBe(false);
    expect(pepper.matches('session', secret, key.secretHash)).toBe(false);
  });

  test('with any one character changed was never issued', () => {
    for (let at = 0; at < key.text.length; at++) expect(credentials.parse(changed(key.text, at))).toBeNull();
  });

  test('of another deployment was never issued here', () =>
    expect(new Credentials(new Pepper(randomBytes(32))).parse(key.text)).toBeNull());
});

describe('a session token', () => {
  const session = credentials.issueSession(ADA, SESSION);

  test('names its user and itself', () =>
    expect(credentials.parse(session.text)).toMatchObject({ kind: 'session', userId: ADA, sessionId: SESSION }));

  test('with any one character changed was never issued', () => {
    for (let at = 0; at < session.text.length; at++) expect(credentials.parse(changed(session.text, at))).toBeNull();
  });

  test('fits what the contract allows', () => expect(session.text.length).toBeLessThanOrEqual(300));
});

describe("the platform's key", () => {
  test('is the one of the environment', () => {
    expect(credentials.parse(PLATFORM_KEY)).toEqual({ kind: 'platform', keyId: 'ops' });
    expect(credentials.parse('reef_platform_ops_0123456789abcdeX')).toBeNull();
    expect(credentials.parse('reef_platform_dev_0123456789abcdef')).toBeNull();
  });

  test('does not exist where none is set', () => expect(new Credentials(pepper).parse(PLATFORM_KEY)).toBeNull());
});

test('anything else opens nothing', () => {
  for (const text of ['', 'reef', 'reef___', 'Bearer x', `reef_acme_${'a'.repeat(16)}_`, '🦀', 'x'.repeat(300)]) {
    expect(credentials.parse(text)).toBeNull();
  }
});

test('a pepper has 32 bytes', () => {
  expect(() => new Pepper(randomBytes(31))).toThrow('32 bytes');
  expect(() => new Pepper(randomBytes(33))).toThrow('32 bytes');
});
