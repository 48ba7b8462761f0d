import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';

type Purpose = 'email' | 'key' | 'session' | 'platform' | 'seal' | 'command';

/**
 * Keyed hashes (HMAC-SHA-256) under a secret that is not in the database: from a copy of the tables alone nobody can try
 * guesses. A purpose goes into each hash, so that one kind of secret never passes for another.
 */
export class Pepper {
  readonly #key: KeyObject;

  constructor(bytes: Buffer) {
    if (bytes.length !== 32) throw new Error('the pepper must be 32 bytes in base64');
    this.#key = createSecretKey(bytes);
  }

  /** @param path a file with 32 bytes in base64. */
  static fromFile(path: string): Pepper {
    return new Pepper(Buffer.from(readFileSync(path, 'utf8').trim(), 'base64'));
  }

  hash(purpose: Purpose, text: string): string {
    return this.#hash(purpose, text).toString('base64url');
  }

  /** Takes the same time wherever the two differ. */
  matches(purpose: Purpose, text: string, hash: string): boolean {
    const [given, kept] = [this.#hash(purpose, text), Buffer.from(hash, 'base64url')];
    return given.length === kept.length && timingSafeEqual(given, kept);
  }

  #hash(purpose: Purpose, text: string): Buffer {
    return createHmac('sha256', this.#key).update(`${purpose}:${text}`).digest();
  }
}
