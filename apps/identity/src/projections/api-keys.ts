import { defineEntity } from '@mikro-orm/core';
import type { Projection } from '@reef/eventing/pure';
import type { ApiKey, Keyring, KeyringEvent } from '../domain/keyring.js';

export const ApiKeyRow = defineEntity({
  name: 'ApiKeyRow',
  tableName: 'api_keys',
  schema: 'view',
  properties: (p) => ({
    tenantId: p.string().primary(),
    keyId: p.string().primary(),
    name: p.text(),
    role: p.enum(['admin', 'member', 'viewer'] as const),
    createdBy: p.string(),
    createdAt: p.datetime(),
    expiresAt: p.datetime().nullable(),
    revokedAt: p.datetime().nullable(),
  }),
});

export const apiKeysProjection: Projection<Keyring, KeyringEvent> = {
  table: 'api_keys',
  key: ['key_id'],
  sealed: ['name'],
  rows({ state, events }) {
    // The state forgets keys that died long ago; their rows are explained by the events alone.
    const known = new Map<string, ApiKey>(state.keys.map((key) => [key.keyId, key]));
    const changed = new Map<string, ApiKey>();
    for (const event of events) {
      const { keyId } = event.data;
      if (event.type === 'ApiKeyCreated') changed.set(keyId, { ...event.data, revokedAt: null });
      else {
        const key = changed.get(keyId) ?? known.get(keyId);
        if (key) changed.set(keyId, { ...key, revokedAt: event.data.revokedAt });
      }
    }
    return [...changed.values()].map((key) => ({
      upsert: {
        key_id: key.keyId,
        name: key.name,
        role: key.role,
        created_by: key.createdBy,
        created_at: key.createdAt,
        expires_at: key.expiresAt,
        revoked_at: key.revokedAt,
      },
    }));
  },
};
