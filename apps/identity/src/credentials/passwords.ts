import { hash, verify } from '@node-rs/argon2';
import { Gate } from './gate.js';

/** OWASP's first choice for argon2id: 19 MiB, two passes, one lane; 5.6 ms on one thread of a small machine. */
const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const;

// More than two at once fill libuv's four threads and make the event loop wait for its own files and names.
const AT_ONCE_MAX = 2;
const WAITING_MAX = 64;

/** Password hashes, a few at a time. Both methods answer null when too many are waiting. */
export class Passwords {
  readonly #gate = new Gate(AT_ONCE_MAX, WAITING_MAX);
  /** Of no password: verified for an account that does not exist, so that its answer takes as long. */
  readonly #nobodys = hash(crypto.randomUUID(), COST);

  async hash(password: string): Promise<string | null> {
    return this.#gate.pass(() => hash(normal(password), COST));
  }

  /** @param kept the account's hash, null for an account that does not exist. */
  async verify(kept: string | null, password: string): Promise<boolean | null> {
    const compared = kept ?? (await this.#nobodys);
    const same = await this.#gate.pass(() => verify(compared, normal(password)));
    return same && kept !== null;
  }
}

/** One password typed on two keyboards is one password (NIST SP 800-63B, 5.1.1.2). */
const normal = (password: string) => password.normalize('NFKC');
