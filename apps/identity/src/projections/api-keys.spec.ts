import { expect, test } from '@jest/globals';
import { fold } from '@reef/eventing/pure';
import { keyringDecider, type KeyringEvent } from '../domain/keyring.js';
import { apiKeysProjection } from './api-keys.js';

const created = (keyId: string, day: string): KeyringEvent => ({
  type: 'ApiKeyCreated',
  data: {
    keyId,
    name: keyId,
    role: 'admin',
    secretHash: '#',
    createdBy: 'ada',
    createdAt: `2026-11-${day}T12:00:00.000Z`,
    expiresAt: null,
  },
});
const revoked = (keyId: string, day: string): KeyringEvent => ({
  type: 'ApiKeyRevoked',
  data: { keyId, revokedAt: `2026-11-${day}T12:00:00.000Z` },
});

test('the list of keys is the same, told event by event or all at once, also of keys the ring has forgotten', () => {
  const events = [created('a', '01'), created('b', '02'), revoked('a', '03'), created('c', '10'), revoked('b', '11')];
  const place = { tenant: 'acme', stream: 'keyring/acme' };
  const rows = new Map<unknown, unknown>();
  const collect = (batch: KeyringEvent[], state: typeof keyringDecider.initial) => {
    for (const change of apiKeysProjection.rows({ ...place, state, events: batch })) {
      if ('upsert' in change) rows.set(change.upsert['key_id'], change.upsert);
    }
  };
  let state = keyringDecider.initial;
  for (const event of events) {
    state = keyringDecider.evolve(state, event);
    collect([event], state);
  }
  expect(state.keys.map(({ keyId }) => keyId)).toEqual(['b', 'c']);
  const oneByOne = new Map(rows);
  rows.clear();
  collect(events, fold(keyringDecider, keyringDecider.initial, events));
  expect(rows).toEqual(oneByOne);
  expect([...rows.values()]).toMatchObject([
    { key_id: 'a', revoked_at: '2026-11-03T12:00:00.000Z' },
    { key_id: 'b', revoked_at: '2026-11-11T12:00:00.000Z' },
    { key_id: 'c', revoked_at: null },
  ]);
});
