import { describe, expect, test } from '@jest/globals';
import { scenario } from '@reef/testing';
import { isLive, type KeyringCommand, keyringDecider, type KeyringEvent } from './keyring.js';

const given = scenario(keyringDecider);

const DAY_MS = 24 * 3_600_000;
const NOON_MS = Date.parse('2026-11-01T12:00:00.000Z');
const at = (ms: number) => new Date(ms).toISOString();
const key = (keyId: string, { createdMs = NOON_MS, expiresMs = null as number | null } = {}) => ({
  keyId,
  name: `key ${keyId}`,
  role: 'admin' as const,
  secretHash: `#${keyId}`,
  createdBy: 'ada',
  createdAt: at(createdMs),
  expiresAt: expiresMs === null ? null : at(expiresMs),
});
const create = (data: ReturnType<typeof key>): KeyringCommand => ({ type: 'create', data });
const created = (data: ReturnType<typeof key>): KeyringEvent => ({ type: 'ApiKeyCreated', data });
const revoke = (keyId: string, ms = NOON_MS): KeyringCommand => ({
  type: 'revoke',
  data: { keyId, revokedAt: at(ms) },
});
const revoked = (keyId: string, ms = NOON_MS): KeyringEvent => ({
  type: 'ApiKeyRevoked',
  data: { keyId, revokedAt: at(ms) },
});
const keys = (count: number, options = {}) =>
  Array.from({ length: count }, (_, index) => created(key(`k${index}`, options)));

describe('creating a key', () => {
  test('puts it on the ring', () =>
    given()
      .when(create(key('a')))
      .then(created(key('a'))));

  test('refuses one that would have expired by now, and takes one that expires a millisecond later', () => {
    given()
      .when(create(key('a', { expiresMs: NOON_MS })))
      .refuses('expiry_in_the_past');
    const brief = key('a', { expiresMs: NOON_MS + 1 });
    given().when(create(brief)).then(created(brief));
  });

  test('takes the 50th key and refuses the 51st', () => {
    given(...keys(49))
      .when(create(key('last')))
      .then(created(key('last')));
    given(...keys(50))
      .when(create(key('one too many')))
      .refuses('too_many_keys', { keysMax: 50 });
  });

  test('does not count what was revoked or has expired', () => {
    given(...keys(50), revoked('k7'))
      .when(create(key('last')))
      .then(created(key('last')));
    const tomorrow = key('last', { createdMs: NOON_MS + DAY_MS });
    given(...keys(50, { expiresMs: NOON_MS + 1_000 }))
      .when(create(tomorrow))
      .then(created(tomorrow));
  });
});

describe('revoking a key', () => {
  test('ends that key alone', () => {
    given(...keys(2))
      .when(revoke('k0'))
      .then(revoked('k0'));
    const { state } = given(...keys(2), revoked('k0'));
    expect(state.keys.map((each) => isLive(each, NOON_MS))).toEqual([false, true]);
  });

  test('happens once', () =>
    given(...keys(1), revoked('k0'))
      .when(revoke('k0', NOON_MS + 1))
      .nothing());

  test('refuses a key that is not on the ring', () =>
    given(...keys(1))
      .when(revoke('k1'))
      .refuses('key_not_found'));
});

test('a key lives until the moment it expires', () => {
  const { state } = given(created(key('a', { expiresMs: NOON_MS + 1_000 })));
  expect(isLive(state.keys[0]!, NOON_MS + 999)).toBe(true);
  expect(isLive(state.keys[0]!, NOON_MS + 1_000)).toBe(false);
});

test('a dead key leaves the ring a day after it died, when another is made', () => {
  const ring = (laterMs: number) =>
    given(...keys(2), revoked('k0'), created(key('new', { createdMs: NOON_MS + laterMs }))).state.keys.map(
      ({ keyId }) => keyId,
    );
  expect(ring(DAY_MS - 1)).toEqual(['k0', 'k1', 'new']);
  expect(ring(DAY_MS)).toEqual(['k1', 'new']);
});
