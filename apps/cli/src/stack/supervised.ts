import { setTimeout as sleep } from 'node:timers/promises';
import type { Exit, ProcessIdentity } from '@reef/embedded';
import { backoffMs, failuresAfter } from './backoff.js';

/** A process while it runs. */
export interface Running {
  readonly process: ProcessIdentity | undefined;
  readonly port: number;
  readonly exited: Promise<Exit>;
  /** Asks, waits its limit, kills. */
  stop(): Promise<void>;
}

/** What is kept running. */
export interface Program {
  readonly name: string;
  readonly readyPath?: string;
  /** Resolves when the program answers; `spawned` is called before, as soon as there is a process. */
  start(spawned: (running: Running) => void): Promise<Running>;
}

export interface SupervisedEvents {
  /** The process, the port or the number of restarts changed. */
  changed(): void;
  /** Something a person should read. */
  say(line: string): void;
}

const firstStartAttemptsMax = 3;
const startingLimitMs = 5_000;

/** One program that is started again whenever it ends, until it is told to stop. */
export class Supervised {
  restarts = 0;
  current: Running | undefined;
  #stopping = new AbortController();
  #starting: Promise<unknown> = Promise.resolve();
  #kept: Promise<void> = Promise.resolve();

  constructor(
    readonly program: Program,
    private readonly events: SupervisedEvents,
  ) {}

  /** Resolves when the program answers for the first time. Throws after three attempts: something is wrong that time does not mend. */
  async start(): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const running = await this.#startOnce();
        this.#kept = this.#keep(running);
        return;
      } catch (error) {
        if (attempt === firstStartAttemptsMax || this.#stopping.signal.aborted) throw error;
        await this.#pause(backoffMs(attempt));
      }
    }
  }

  /** Ends the process and the supervision. Harmless to repeat. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.current?.stop();
    // A server that is just starting ends itself when it is ready; a download is not waited for.
    await Promise.race([this.#starting, sleep(startingLimitMs, undefined, { ref: false })]).catch(() => undefined);
    await this.#kept;
  }

  async #keep(first: Running): Promise<void> {
    let running: Running | undefined = first;
    let failures = 0;
    while (running !== undefined) {
      const startedMs = performance.now();
      const exit = await running.exited;
      this.#set(undefined);
      failures = failuresAfter(failures, performance.now() - startedMs);
      running = await this.#restart(`${exit.signal ?? `code ${exit.code}`}`, failures);
    }
  }

  async #restart(reason: string, failuresBefore: number): Promise<Running | undefined> {
    for (let failures = failuresBefore, why = reason; ; failures += 1, why = 'not ready') {
      if (this.#stopping.signal.aborted) return undefined;
      const waitMs = backoffMs(failures);
      this.events.say(`${this.program.name} ended (${why}); starting it again in ${waitMs / 1000} s`);
      await this.#pause(waitMs);
      if (this.#stopping.signal.aborted) return undefined;
      this.restarts += 1;
      try {
        return await this.#startOnce();
      } catch (error) {
        this.events.say(error instanceof Error ? error.message : String(error));
      }
    }
  }

  async #startOnce(): Promise<Running> {
    try {
      const starting = this.program.start((spawned) => this.#set(spawned));
      this.#starting = starting;
      const running = await starting;
      this.#set(running);
      if (this.#stopping.signal.aborted) await running.stop();
      return running;
    } catch (error) {
      this.#set(undefined);
      throw error;
    }
  }

  #set(running: Running | undefined): void {
    this.current = running;
    this.events.changed();
  }

  async #pause(waitMs: number): Promise<void> {
    await sleep(waitMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
  }
}
