/** Turns that one process runs at once, over all lanes. */
export const RUNNING_MAX = 600;
/** Turns that may wait in one process, for their session, their lane or a slot; more are refused as `overloaded`. */
export const WAITING_MAX = 2_000;
/** Of those, one tenant's. */
export const WAITING_PER_TENANT_MAX = 500;

/** One turn's place in this process: it waits at first. */
export interface TurnSlot {
  /** Resolves when the turn may run. Called once. */
  run(): Promise<void>;
  release(): void;
}

/**
 * What one process bears. Who runs next is decided in the lanes; only when this process is full, turns that have their permit wait
 * here as well, tenants in turn: a tenant with a thousand waiting gets one, then everybody else who waits gets one.
 */
export class TurnSlots {
  #running = 0;
  #waiting = 0;
  readonly #waitingOf = new Map<string, number>();
  /** Those that have all else they need, by tenant, in the order in which tenants are served next. */
  readonly #ready = new Map<string, (() => void)[]>();

  constructor(private readonly runningMax = RUNNING_MAX) {}

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** Lets a turn wait here; null where too many do. */
  admit(tenant: string): TurnSlot | null {
    const ofTenant = this.#waitingOf.get(tenant) ?? 0;
    if (this.#waiting >= WAITING_MAX || ofTenant >= WAITING_PER_TENANT_MAX) return null;
    this.#count(tenant, 1);
    let state: 'waiting' | 'running' | 'released' = 'waiting';
    return {
      run: async () => {
        if (this.#running < this.runningMax) this.#running++;
        else await new Promise<void>((go) => this.#ready.set(tenant, [...(this.#ready.get(tenant) ?? []), go]));
        state = 'running';
        this.#count(tenant, -1);
      },
      release: () => {
        if (state === 'waiting') this.#count(tenant, -1);
        if (state === 'running') this.#handOn();
        state = 'released';
      },
    };
  }

  /** The slot goes from hand to hand. */
  #handOn(): void {
    const [next] = this.#ready;
    if (!next) {
      this.#running--;
      return;
    }
    const [tenant, [go, ...others]] = next;
    this.#ready.delete(tenant);
    if (others.length > 0) this.#ready.set(tenant, others); // Behind everybody else.
    go?.();
  }

  #count(tenant: string, change: 1 | -1): void {
    this.#waiting += change;
    const ofTenant = (this.#waitingOf.get(tenant) ?? 0) + change;
    if (ofTenant === 0) this.#waitingOf.delete(tenant);
    else this.#waitingOf.set(tenant, ofTenant);
  }
}
