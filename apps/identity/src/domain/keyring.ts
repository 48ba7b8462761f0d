import type { EventOf, identity } from '@reef/contracts';
import { type Decider, refuse, unreachable } from '@reef/eventing/pure';

/** Keys of a tenant that are neither revoked nor expired. */
export const KEYS_MAX = 50;
/** A dead key leaves the state after a day; its row in the list of keys stays. */
export const DEAD_KEPT_MS = 24 * 3_600_000;

export type KeyringEvent = EventOf<typeof identity, 'ApiKeyCreated' | 'ApiKeyRevoked'>;
type Created = EventOf<typeof identity, 'ApiKeyCreated'>['data'];

export type ApiKey = Created & { readonly revokedAt: string | null };

/** All API keys of a tenant in one stream, so that their number has an exact limit. */
export interface Keyring {
  readonly keys: readonly ApiKey[];
}

export type KeyringCommand =
  | { readonly type: 'create'; readonly data: Created }
  | { readonly type: 'revoke'; readonly data: { readonly keyId: string; readonly revokedAt: string } };

export function isLive(key: ApiKey, nowMs: number): boolean {
  return diedMs(key) > nowMs;
}

/** When the key ended or will end, ms since the epoch. */
function diedMs(key: ApiKey): number {
  return Math.min(timeMs(key.revokedAt), timeMs(key.expiresAt));
}

const timeMs = (instant: string | null) => (instant === null ? Infinity : Date.parse(instant));

export const keyringDecider: Decider<
  Keyring,
  KeyringCommand,
  KeyringEvent,
  'expiry_in_the_past' | 'too_many_keys' | 'key_not_found'
> = {
  initial: { keys: [] },
  decide(command, state) {
    switch (command.type) {
      case 'create': {
        const nowMs = Date.parse(command.data.createdAt);
        if (timeMs(command.data.expiresAt) <= nowMs) {
          return refuse('expiry_in_the_past', 'the key would have expired already');
        }
        if (state.keys.filter((key) => isLive(key, nowMs)).length >= KEYS_MAX) {
          return refuse('too_many_keys', `a tenant may have ${KEYS_MAX} keys; revoke one first`, { keysMax: KEYS_MAX });
        }
        return [{ type: 'ApiKeyCreated', data: command.data }];
      }
      case 'revoke': {
        const key = state.keys.find(({ keyId }) => keyId === command.data.keyId);
        if (!key) return refuse('key_not_found', 'there is no such key');
        return key.revokedAt === null ? [{ type: 'ApiKeyRevoked', data: command.data }] : [];
      }
      default:
        return unreachable(command);
    }
  },
  evolve(state, event) {
    switch (event.type) {
      case 'ApiKeyCreated': {
        const forgottenMs = Date.parse(event.data.createdAt) - DEAD_KEPT_MS;
        return {
          keys: [...state.keys.filter((key) => diedMs(key) > forgottenMs), { ...event.data, revokedAt: null }],
        };
      }
      case 'ApiKeyRevoked': {
        const { keyId, revokedAt } = event.data;
        return { keys: state.keys.map((key) => (key.keyId === keyId ? { ...key, revokedAt } : key)) };
      }
      default:
        return unreachable(event);
    }
  },
};
