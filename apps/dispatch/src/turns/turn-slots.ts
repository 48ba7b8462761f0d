/** Turns that one process runs at once. */
export const RUNNING_MAX = 600;
/** Turns that may wait for a slot in one process; more are refused as `overloaded`. */
export const WAITING_MAX = 2_000;
/** Of those, one tenant's. */
export const WAITING_PER_TENANT_MAX = 500;

/**
 * Hands out the slots in which turns run. When all are taken, tenants take turns: a tenant with a thousand waiting gets one,
 * then everybody else who waits gets one.
 */
export class TurnSlots {
  #running = 0;
  #waitingCount = 0;
  /** Tenants in the order in which they are served next. */
  readonly #waiting = new Map<string, (() => void)[]>();

  constructor(private readonly runningMax = RUNNING_MAX) {}

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waitingCount;
  }

  /** Whether one more turn of this tenant could at least wait. */
  hasRoom(tenant: string): boolean {
    if (this.#running < this.runningMax) return true;
    return this.#waitingCount < WAITING_MAX && (this.#waiting.get(tenant)?.length ?? 0) < WAITING_PER_TENANT_MAX;
  }

  /** Resolves when the turn may run; `release` must follow. */
  async acquire(tenant: string): Promise<void> {
    if (this.#running < this.runningMax) {
      this.#running++;
      return;
    }
    this.#waitingCount++;
    await new Promise<void>((go) => {
      const queue = this.#waiting.get(tenant);
      if (queue) queue.push(go);
      else this.#waiting.set(tenant, [go]);
    });
  }

  release(): void {
    const [next] = this.#waiting;
    if (!next) {
      this.#running--;
      return;
    }
    const [tenant, queue] = next;
    const go = queue.shift();
    this.#waiting.delete(tenant);
    if (queue.length > 0) this.#waiting.set(tenant, queue); // Behind everybody else.
    this.#waitingCount--;
    go?.(); // The slot goes from hand to hand.
  }
}
