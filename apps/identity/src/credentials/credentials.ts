import { randomBytes, randomInt, timingSafeEqual } from 'node:crypto';
import type { Pepper } from './pepper.js';

/** What a caller presents, taken apart. The kinds differ in shape, so no secret is tried twice. */
export type Credential =
  | { readonly kind: 'key'; readonly tenant: string; readonly keyId: string; readonly secret: string }
  | { readonly kind: 'session'; readonly userId: string; readonly sessionId: string; readonly secret: string }
  | { readonly kind: 'platform'; readonly keyId: string };

export interface PlatformKey {
  readonly keyId: string;
  readonly hash: string;
}

const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const SECRET_DIGITS = 64;
const SEAL_DIGITS = 16;
const SECRET = `[0-9a-f]{${SECRET_DIGITS + SEAL_DIGITS}}`;
const KEY = new RegExp(`^(reef_([a-z0-9-]{1,40})_([a-z0-9]{16}))_(${SECRET})$`);
const SESSION = new RegExp(`^(reef_session_(${UUID})_(${UUID}))_(${SECRET})$`);
const KEY_ID_ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789';

/** `reef_platform_<id>_<secret>`: the operators' key, from the deployment's environment. */
export const PLATFORM_KEY = /^reef_platform_([a-z0-9]{1,40})_[A-Za-z0-9-]{16,128}$/;

/**
 * Makes and takes apart API keys and session tokens. A secret is 256 bits of chance in hexadecimal (no `_`, the separator,
 * and a double click selects all of it), followed by a seal of 64 bits under the pepper: a credential that was never issued
 * is turned away without a look into the database, so guessing costs nothing but the guesser's time.
 */
export class Credentials {
  readonly #platformKey: PlatformKey | null;

  constructor(
    readonly pepper: Pepper,
    platformKey?: string,
  ) {
    const keyId = platformKey && PLATFORM_KEY.exec(platformKey)?.[1];
    this.#platformKey = platformKey && keyId ? { keyId, hash: pepper.hash('platform', platformKey) } : null;
  }

  newKeyId(): string {
    return Array.from({ length: 16 }, () => KEY_ID_ALPHABET[randomInt(KEY_ID_ALPHABET.length)]).join('');
  }

  issueKey(tenant: string, keyId: string) {
    return this.#issue('key', `reef_${tenant}_${keyId}`);
  }

  issueSession(userId: string, sessionId: string) {
    return this.#issue('session', `reef_session_${userId}_${sessionId}`);
  }

  /** Null for anything that this deployment did not issue. Whether it still holds is for the streams to say. */
  parse(text: string): Credential | null {
    const [, sessionName, userId, sessionId, sessionSecret] = SESSION.exec(text) ?? [];
    if (sessionName && userId && sessionId && sessionSecret) {
      return this.#sealed(sessionName, sessionSecret)
        ? { kind: 'session', userId, sessionId, secret: sessionSecret }
        : null;
    }
    if (PLATFORM_KEY.test(text)) {
      const key = this.#platformKey;
      return key && this.pepper.matches('platform', text, key.hash) ? { kind: 'platform', keyId: key.keyId } : null;
    }
    const [, keyName, tenant, keyId, keySecret] = KEY.exec(text) ?? [];
    if (keyName && tenant && keyId && keySecret) {
      return this.#sealed(keyName, keySecret) ? { kind: 'key', tenant, keyId, secret: keySecret } : null;
    }
    return null;
  }

  #issue(purpose: 'key' | 'session', name: string): { text: string; secretHash: string } {
    const random = randomBytes(SECRET_DIGITS / 2).toString('hex');
    const secret = random + this.#seal(name, random);
    return { text: `${name}_${secret}`, secretHash: this.pepper.hash(purpose, secret) };
  }

  #sealed(name: string, secret: string): boolean {
    const random = secret.slice(0, SECRET_DIGITS);
    return timingSafeEqual(Buffer.from(secret.slice(SECRET_DIGITS)), Buffer.from(this.#seal(name, random)));
  }

  #seal(name: string, random: string): string {
    const bytes = Buffer.from(this.pepper.hash('seal', `${name}_${random}`), 'base64url');
    return bytes.toString('hex').slice(0, SEAL_DIGITS);
  }
}
