import { type ContextClaims, PLATFORM, type Principal } from '@reef/contracts';
import type { ContextSigner, OnBehalfOf } from '@reef/messaging';
import { LRUCache } from 'lru-cache';
import { LIMITS } from '../limits.js';

export interface Identity {
  readonly tenant: string;
  readonly principal: Principal;
  readonly role: ContextClaims['role'];
}

/** For what a visitor does before we know them: sign-up and log-in. */
export const ANYBODY: Identity = { tenant: PLATFORM, principal: { kind: 'anonymous', id: 'anonymous' }, role: 'none' };
/** For the edge's own questions: who is behind this credential, are you there. */
export const THE_EDGE: Identity = { tenant: PLATFORM, principal: { kind: 'service', id: 'edge' }, role: 'none' };

/** Mints tenant contexts. One is good for 60 s and is used for 30, so that it never expires on its way. */
export class Contexts {
  readonly #tokens = new LRUCache<string, string>({ max: LIMITS.contextCacheEntries, ttl: LIMITS.contextCacheMs });

  constructor(private readonly signer: ContextSigner) {}

  of({ tenant, principal, role }: Identity, correlationId: string): OnBehalfOf {
    const key = JSON.stringify([tenant, principal.kind, principal.id, role]);
    let token = this.#tokens.get(key);
    if (!token) {
      token = this.signer.sign({ tenant, principal, role });
      this.#tokens.set(key, token);
    }
    return { tenant, token, correlationId };
  }
}
