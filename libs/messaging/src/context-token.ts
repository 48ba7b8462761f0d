import { createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject, sign, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type ContextClaims, contextClaims } from '@reef/contracts';
import { LRUCache } from 'lru-cache';

/** How long a context token is good for, seconds. Longer work is signed anew by dispatch. */
export const CONTEXT_TTL_S = 60;
const CLOCK_SKEW_S = 5;
const TOKEN_LENGTH_MAX = 4_096;
const CACHE_ENTRIES_MAX = 10_000;

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

export type ContextToSign = Omit<ContextClaims, 'iss' | 'aud' | 'iat' | 'exp'>;

/** Vouches for a tenant context: an EdDSA JWT in the shape of the OAuth Transaction Tokens draft. */
export class ContextSigner {
  readonly #header: string;

  /** @param issuer who signs; the key's `kid` must begin with it, so that one service cannot sign as another. */
  constructor(
    private readonly issuer: ContextClaims['iss'],
    private readonly key: KeyObject,
    kid: string,
  ) {
    if (!kid.startsWith(`${issuer}-`)) throw new Error(`the key ${kid} does not belong to ${issuer}`);
    this.#header = encode({ alg: 'EdDSA', typ: 'txntoken+jwt', kid });
  }

  static fromFile(issuer: ContextClaims['iss'], path: string): ContextSigner {
    const jwk = JSON.parse(readFileSync(path, 'utf8')) as JsonWebKey & { kid: string };
    return new ContextSigner(issuer, createPrivateKey({ key: jwk, format: 'jwk' }), jwk.kid);
  }

  /** @param nowMs ms since the epoch. */
  sign(context: ContextToSign, nowMs: number = Date.now()): string {
    const iat = Math.floor(nowMs / 1_000);
    const claims: ContextClaims = { iss: this.issuer, aud: 'reef', iat, exp: iat + CONTEXT_TTL_S, ...context };
    const signed = `${this.#header}.${encode(claims)}`;
    return `${signed}.${sign(null, Buffer.from(signed), this.key).toString('base64url')}`;
  }
}

/** Checks context tokens. A token's signature is checked once; its expiry each time. */
export class ContextVerifier {
  readonly #keys: ReadonlyMap<string, KeyObject>;
  readonly #verified = new LRUCache<string, ContextClaims>({ max: CACHE_ENTRIES_MAX });

  constructor(keys: ReadonlyMap<string, KeyObject>) {
    this.#keys = keys;
  }

  /** Reads a JWK set of the public keys of all issuers. */
  static fromFile(path: string): ContextVerifier {
    const { keys } = JSON.parse(readFileSync(path, 'utf8')) as { keys: (JsonWebKey & { kid: string })[] };
    return new ContextVerifier(new Map(keys.map((key) => [key.kid, createPublicKey({ key, format: 'jwk' })])));
  }

  /** The claims of a good token; null for one that is forged, expired, from the future, or of another kind. */
  verify(token: string, nowMs: number = Date.now()): ContextClaims | null {
    if (token.length > TOKEN_LENGTH_MAX) return null;
    let claims = this.#verified.get(token);
    if (!claims) {
      const checked = this.#check(token);
      if (!checked) return null;
      claims = checked;
      this.#verified.set(token, claims);
    }
    const nowS = nowMs / 1_000;
    return claims.exp > nowS && claims.iat <= nowS + CLOCK_SKEW_S ? claims : null;
  }

  #check(token: string): ContextClaims | null {
    const [header, payload, signature, ...rest] = token.split('.');
    if (!header || !payload || !signature || rest.length > 0) return null;
    try {
      const { alg, typ, kid } = JSON.parse(Buffer.from(header, 'base64url').toString()) as Record<string, unknown>;
      if (alg !== 'EdDSA' || typ !== 'txntoken+jwt' || typeof kid !== 'string') return null;
      const key = this.#keys.get(kid);
      if (!key) return null;
      const signatureBytes = Buffer.from(signature, 'base64url');
      // The decoder forgives stray bits; only the canonical spelling counts, or one token would have several.
      if (signatureBytes.toString('base64url') !== signature) return null;
      if (!verify(null, Buffer.from(`${header}.${payload}`), key, signatureBytes)) return null;
      const claims = contextClaims.safeParse(JSON.parse(Buffer.from(payload, 'base64url').toString()));
      return claims.success && kid.startsWith(`${claims.data.iss}-`) ? claims.data : null;
    } catch {
      return null; // Not JSON, not base64url: not a token.
    }
  }
}
