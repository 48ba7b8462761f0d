import type { RateLimitReport } from '../domain/adaptive-limit.js';
import type { Priority } from '../domain/fair-queue.js';

/** How a wait for a permit ended. */
export type Decided = { status: 'granted' } | { status: 'refused'; retryAfterMs: number } | { status: 'ended' };

/** A turn's place in its lane: first in the queue, then among those that run. */
export interface Permit {
  readonly isGranted: boolean;
  /** The lane is full as far as its owner said; false while it has not answered. */
  readonly mustWait: boolean;
  /** When the wait is over. `ended`: nobody wanted it any more. */
  readonly decided: Promise<Decided>;
  /** What the provider said in answer to a call of this turn. */
  report(report: RateLimitReport): void;
  /** Gives it back, or leaves the queue. @param used weighted tokens; null: nobody knows; 0: it was not used. */
  end(used: number | null): void;
}

export interface PermitRequest {
  /** `provider/model`. */
  readonly lane: string;
  readonly tenant: string;
  readonly agent: string;
  readonly priority: Priority;
  readonly weight: number;
  /** Weighted tokens, at most. */
  readonly cost: number;
}
