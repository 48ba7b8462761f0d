/** Ends a turn from within its loop. */
export type TurnEnd = { status: 'cancelled' } | { status: 'failed'; code: string; message: string; details?: unknown };

/** Why a turn must stop before its end: its client or an operator cancelled it, or its time is over. */
export class StopSignal {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #cancel = () => this.#controller.abort('cancelled');
  /** Resolves when the turn must stop. */
  readonly stopped: Promise<void>;

  constructor(
    private readonly cancelled: AbortSignal,
    readonly deadlineMs: number,
  ) {
    this.stopped = new Promise((resolve) => this.signal.addEventListener('abort', () => resolve(), { once: true }));
    // Longer than this is not a deadline, and setTimeout would fire at once.
    const leftMs = Math.min(deadlineMs - Date.now(), 2 ** 31 - 1);
    this.#timer = setTimeout(() => this.#controller.abort('deadline'), Math.max(leftMs, 0));
    cancelled.addEventListener('abort', this.#cancel, { once: true });
    if (cancelled.aborted) this.#cancel();
    else if (leftMs <= 0) this.#controller.abort('deadline');
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get reason(): 'cancelled' | 'deadline' | undefined {
    return this.signal.aborted ? (this.signal.reason as 'cancelled' | 'deadline') : undefined;
  }

  /** How the turn ends, if it must. */
  get end(): TurnEnd | undefined {
    switch (this.reason) {
      case 'cancelled':
        return { status: 'cancelled' };
      case 'deadline':
        return { status: 'failed', code: 'deadline_exceeded', message: 'The turn took longer than it may.' };
      default:
        return undefined;
    }
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.cancelled.removeEventListener('abort', this.#cancel);
  }
}

/** Resolves when the signal is aborted or the time is over, whichever is first; leaves nothing behind. */
export function until(signal: AbortSignal, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, timeoutMs);
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}
