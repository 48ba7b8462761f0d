import type { RateLimitReport } from '../domain/adaptive-limit.js';
import type { Settlement } from '../engines/engine.js';
import type { Permit } from '../lanes/permit.js';
import { weightedTokens, weightedUsage } from '../lanes/weighted-tokens.js';
import { NativeTurnHost } from './turn-host.js';

/** Tells the turn's lane what the provider said, and counts what the turn uses of it. */
export class LanedTurnHost extends NativeTurnHost {
  #permit: Permit | null = null;
  #usedTokens = 0;

  /** The permit under which calls are made from now on. */
  runsUnder(permit: Permit): void {
    this.#permit = permit;
  }

  /** Of all calls so far, weighted. */
  get usedTokens(): number {
    return this.#usedTokens;
  }

  override settle(call: Settlement & { readonly rateLimits?: RateLimitReport | undefined }): Promise<void> {
    // Where the provider told nothing, what was seen is less than what was used, but not nothing.
    this.#usedTokens += call.usage ? weightedUsage(call.usage) : weightedTokens(0, call.outputTokensSeen);
    if (call.rateLimits) this.#permit?.report(call.rateLimits);
    return super.settle(call);
  }
}
