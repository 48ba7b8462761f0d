/** Keeps other readers out while a change is committed and takes its place on disk. */
export type Settling = <T>(work: () => Promise<T>) => Promise<T>;

interface Gate {
  tail: Promise<unknown>;
  waiting: number;
  readers: number;
  /** Resolves when the change that is settling has settled. */
  closed: Promise<void> | undefined;
  readersLeft: (() => void) | undefined;
}

/**
 * Per tenant: changes one at a time, in the order they came; and while a change settles, which takes a few milliseconds, no reader is
 * inside. So nobody sees a log and a disk that disagree. One process owns the files, so its memory is where this can be decided.
 */
export class TenantGates {
  readonly #gates = new Map<string, Gate>();

  constructor(private readonly waitingMax: number) {}

  /** Runs a change when all earlier ones are done; null where too many are waiting already. */
  async change<T>(tenant: string, work: (settling: Settling) => Promise<T>): Promise<T | null> {
    const gate = this.#gateOf(tenant);
    if (gate.waiting >= this.waitingMax) return null;
    gate.waiting++;
    const turn = gate.tail.then(() => work((settle) => this.#settle(gate, settle)));
    // The next in line waits for the end of this one, not for its success.
    gate.tail = turn.catch(() => undefined);
    try {
      return await turn;
    } finally {
      gate.waiting--;
      this.#forgetIfIdle(tenant, gate);
    }
  }

  /** Runs at once, beside other readers and changes being prepared; waits only for one that settles. */
  async read<T>(tenant: string, work: () => Promise<T>): Promise<T> {
    const gate = this.#gateOf(tenant);
    gate.waiting++;
    try {
      while (gate.closed) await gate.closed;
      gate.readers++;
      try {
        return await work();
      } finally {
        gate.readers--;
        if (gate.readers === 0) gate.readersLeft?.();
      }
    } finally {
      gate.waiting--;
      this.#forgetIfIdle(tenant, gate);
    }
  }

  async #settle<T>(gate: Gate, work: () => Promise<T>): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<void>();
    gate.closed = promise;
    try {
      if (gate.readers > 0) await new Promise<void>((left) => (gate.readersLeft = left));
      gate.readersLeft = undefined;
      return await work();
    } finally {
      gate.closed = undefined;
      resolve();
    }
  }

  #gateOf(tenant: string): Gate {
    let gate = this.#gates.get(tenant);
    if (!gate) {
      gate = { tail: Promise.resolve(), waiting: 0, readers: 0, closed: undefined, readersLeft: undefined };
      this.#gates.set(tenant, gate);
    }
    return gate;
  }

  #forgetIfIdle(tenant: string, gate: Gate): void {
    if (gate.waiting === 0) this.#gates.delete(tenant);
  }
}
