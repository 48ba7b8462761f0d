import { Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import type { Logger } from 'pino';
import { InjectLogger } from './tokens.js';

/** Runs work again and again: never two runs of one job at once, and none after shutdown has begun. */
@Injectable()
export class Periodic implements BeforeApplicationShutdown {
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #running = new Set<Promise<void>>();
  #stopped = false;

  constructor(@InjectLogger() private readonly logger: Logger) {}

  /** @param everyMs the pause between the end of one run and the start of the next. */
  every(everyMs: number, name: string, work: () => Promise<void>): void {
    if (this.#stopped) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      const run = work()
        .catch((error: unknown) =>
          this.logger.warn({ err: error, job: name }, 'a periodic job failed and will be tried again'),
        )
        .finally(() => {
          this.#running.delete(run);
          this.every(everyMs, name, work);
        });
      this.#running.add(run);
    }, everyMs);
    timer.unref();
    this.#timers.add(timer);
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.allSettled(this.#running);
  }
}
