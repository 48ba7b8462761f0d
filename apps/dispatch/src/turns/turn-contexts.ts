import { Injectable } from '@nestjs/common';
import type { TenantContext } from '@reef/contracts';
import { CONTEXT_TTL_S, ContextSigner, type ContextToSign, type OnBehalfOf } from '@reef/messaging';
import { LRUCache } from 'lru-cache';

const TOKENS_CACHED_MAX = 5_000;

/**
 * Signs anew, from the claims a turn was accepted under, for what a turn asks of other services: a turn may outlive the token
 * it came with.
 */
@Injectable()
export class TurnContexts {
  readonly #tokens = new LRUCache<string, string>({ max: TOKENS_CACHED_MAX, ttl: (CONTEXT_TTL_S / 2) * 1_000 });

  constructor(private readonly signer: ContextSigner) {}

  onBehalfOf({
    tenant,
    principal,
    role,
    correlationId,
  }: ContextToSign & Pick<TenantContext, 'correlationId'>): OnBehalfOf {
    const key = `${tenant} ${principal.kind} ${principal.id} ${role}`;
    let token = this.#tokens.get(key);
    if (!token) {
      token = this.signer.sign({ tenant, principal, role });
      this.#tokens.set(key, token);
    }
    return { tenant, token, correlationId };
  }
}
