import { Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';

const TENANTS_KEPT_MAX = 10_000;
export const WEIGHT_DEFAULT = 1;
/** Whatever is asked for, no tenant gets more than this against a tenant of weight 1, or less than its inverse. */
export const WEIGHT_MAX = 1_000;

/** How much of a lane a tenant gets against the others, as its plan says; 1 where nobody said. */
@Injectable()
export class TenantWeights {
  readonly #weights = new LRUCache<string, number>({ max: TENANTS_KEPT_MAX });

  of(tenant: string): number {
    return this.#weights.get(tenant) ?? WEIGHT_DEFAULT;
  }

  /** From the tenant's next turn on. */
  set(tenant: string, weight: number): void {
    if (weight > 0) this.#weights.set(tenant, Math.min(WEIGHT_MAX, Math.max(1 / WEIGHT_MAX, weight)));
  }
}
