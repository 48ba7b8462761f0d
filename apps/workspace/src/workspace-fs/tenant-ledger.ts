import { Refused, refused } from './refusal.js';
import type { WorkspaceLimits } from './limits.js';

/** What a tenant's files take. `files` counts directories too. */
export type Usage = { bytes: number; files: number };

/** A tenant's usage in the hands of the one change that is at work on it. */
export type Account = {
  usage(): Promise<Usage>;
  /** Throws `quota_exceeded` where the change would go over; a change that frees space always passes. */
  admit(change: Usage): Promise<void>;
  /** Says that the disk is about to change: if the work then fails, the usage is counted anew. */
  touch(): void;
  record(change: Usage): void;
};

type Book = { usage: Usage | undefined; tail: Promise<unknown>; waiting: number };

/**
 * Serialises changes per tenant, so that a check of the quota and the write it allows are one step. Usage is counted from disk once
 * and then maintained. One instance owns a tenant's files at a time: a second one would keep books of its own.
 */
export class TenantLedger {
  readonly #books = new Map<string, Book>();

  constructor(
    private readonly limits: Pick<WorkspaceLimits, 'bytesMax' | 'filesMax' | 'waitingMax' | 'tenantsRememberedMax'>,
    private readonly count: (tenant: string) => Promise<Usage>,
  ) {}

  /** Runs the work when all earlier work of this tenant is done. Throws `busy` where too much is waiting already. */
  async run<T>(tenant: string, work: (account: Account) => Promise<T>): Promise<T> {
    const book = this.#bookOf(tenant);
    if (book.waiting > this.limits.waitingMax) throw refused('busy', 'too many changes of this workspace are waiting');
    book.waiting++;
    const turn = book.tail.then(() => this.#work(tenant, book, work));
    // The next in line waits for the end of this one, not for its success.
    book.tail = turn.catch(() => undefined);
    try {
      return await turn;
    } finally {
      book.waiting--;
      this.#forgetIdle();
    }
  }

  /** Forgets what is remembered, for when something else than the port has changed the files. Call within `run`. */
  forget(tenant: string): void {
    const book = this.#books.get(tenant);
    if (book) book.usage = undefined;
  }

  async #work<T>(tenant: string, book: Book, work: (account: Account) => Promise<T>): Promise<T> {
    let touched = false;
    const usage = async (): Promise<Usage> => (book.usage ??= await this.count(tenant));
    try {
      return await work({
        usage,
        touch: () => void (touched = true),
        admit: async (change) => {
          const used = await usage();
          if (change.bytes > 0 && used.bytes + change.bytes > this.limits.bytesMax) throw quotaExceeded('bytes');
          if (change.files > 0 && used.files + change.files > this.limits.filesMax) throw quotaExceeded('files');
        },
        record: (change) => {
          if (book.usage)
            book.usage = { bytes: book.usage.bytes + change.bytes, files: book.usage.files + change.files };
        },
      });
    } catch (error) {
      if (touched) book.usage = undefined;
      throw error;
    }
  }

  #bookOf(tenant: string): Book {
    const book = this.#books.get(tenant) ?? { usage: undefined, tail: Promise.resolve(), waiting: 0 };
    // Set anew so that the map's order is the order of last use.
    this.#books.delete(tenant);
    this.#books.set(tenant, book);
    return book;
  }

  #forgetIdle(): void {
    if (this.#books.size <= this.limits.tenantsRememberedMax) return;
    for (const [tenant, book] of this.#books) {
      if (book.waiting > 0) continue;
      this.#books.delete(tenant);
      if (this.#books.size <= this.limits.tenantsRememberedMax) return;
    }
  }
}

const quotaExceeded = (what: 'bytes' | 'files'): Refused =>
  refused('quota_exceeded', `the workspace would hold more ${what} than its quota`);
