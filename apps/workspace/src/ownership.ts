import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import type { Logger } from 'pino';

/** Any number will do, as long as every version of this service uses the same one: the database is the service's own. */
const LOCK = 0x776b7370;
const TRY_EVERY_MS = 250;
const CONNECT_TIMEOUT_MS = 5_000;

export interface OwnershipOptions {
  readonly databaseUrl: string;
  readonly logger: Logger;
  /** How long to wait for another instance to let go, at start and after the connection broke. */
  readonly waitMs: number;
  /** The lock was lost and another instance has it now: this one must not go on. */
  readonly onGivenUp: () => void;
}

/**
 * Only one instance may have the files at a time: quotas and the order of changes are kept in its memory. Held as a session-wide
 * advisory lock on a connection of its own, so that the database lets go of it when the process dies, however it dies.
 */
export class Ownership {
  #client: Client | undefined;
  #released = false;
  readonly #onRegained: (() => void)[] = [];

  private constructor(private readonly options: OwnershipOptions) {}

  /** Waits for the lock; throws where another instance keeps it. */
  static async take(options: OwnershipOptions): Promise<Ownership> {
    const ownership = new Ownership(options);
    if (!(await ownership.#acquire()))
      throw new Error('another instance of the workspace service owns the files: only one may run at a time');
    return ownership;
  }

  /** False while the connection that holds the lock is gone: another instance may be at the files. */
  get isHeld(): boolean {
    return this.#client !== undefined;
  }

  /** Calls back when the lock was lost and is held again: what was remembered of the files may be out of date. */
  onRegained(callback: () => void): void {
    this.#onRegained.push(callback);
  }

  async release(): Promise<void> {
    this.#released = true;
    const client = this.#client;
    this.#client = undefined;
    await client?.end();
  }

  async #acquire(): Promise<boolean> {
    const giveUpMs = Date.now() + this.options.waitMs;
    for (;;) {
      if (await this.#tryOnce()) return true;
      if (this.#released || Date.now() >= giveUpMs) return false;
      await sleep(TRY_EVERY_MS);
    }
  }

  async #tryOnce(): Promise<boolean> {
    const client = new Client({
      connectionString: this.options.databaseUrl,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      keepAlive: true,
      application_name: 'workspace owner',
    });
    client.on('error', (error) => this.options.logger.warn({ err: error }, 'the connection that owns the files broke'));
    try {
      await client.connect();
      const { rows } = await client.query<{ taken: boolean }>('select pg_try_advisory_lock($1) as taken', [LOCK]);
      if (rows[0]?.taken) {
        client.once('end', () => void this.#regain(client));
        this.#client = client;
        return true;
      }
    } catch (error) {
      this.options.logger.warn({ err: error }, 'the database did not answer a request for the files');
    }
    await client.end().catch(() => undefined);
    return false;
  }

  async #regain(lost: Client): Promise<void> {
    if (this.#released || this.#client !== lost) return;
    this.#client = undefined;
    if (await this.#acquire()) for (const callback of this.#onRegained) callback();
    else if (!this.#released) this.options.onGivenUp();
  }
}
