/** Lets a few pass at once and a bounded number wait their turn, first come first served. */
export class Gate {
  #inside = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(
    private readonly atOnceMax: number,
    private readonly waitingMax: number,
  ) {}

  /** @returns what `work` returns, or null at once when the queue is full. */
  async pass<T>(work: () => Promise<T>): Promise<T | null> {
    if (this.#inside < this.atOnceMax) this.#inside++;
    else if (this.#waiting.length < this.waitingMax) await new Promise<void>((next) => this.#waiting.push(next));
    else return null;
    try {
      return await work();
    } finally {
      // The place goes straight to the next in the queue, so a newcomer cannot slip in between.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#inside--;
    }
  }
}
