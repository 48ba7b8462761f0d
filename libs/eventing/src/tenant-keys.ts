import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { readFileSync } from 'node:fs';
import { LRUCache } from 'lru-cache';
import type { Pool } from 'pg';
import { inTenants } from './in-tenants.js';

const ALGORITHM = 'aes-256-gcm';
const IV_BYTES = 12;
const TAG_BYTES = 16; // Node takes tags as short as four bytes unless told.
const KEYS_CACHED_MAX = 20_000;
const IDLE_MS = 10 * 60_000;

/** What a field reads as once its tenant's key has been destroyed. */
export const ERASED = 'erased';

/**
 * Each tenant's data key in this service's database, wrapped by the deployment's master key (envelope encryption, NIST
 * SP 800-38D for GCM). Destroying the key is the erasure of everything sealed with it, in every copy and backup.
 */
export class TenantKeys {
  readonly #keys = new LRUCache<string, { version: number; key: KeyObject }>({
    max: KEYS_CACHED_MAX,
    ttl: IDLE_MS,
    updateAgeOnGet: true,
  });

  constructor(
    private readonly pool: Pool,
    private readonly master: KeyObject,
  ) {}

  /** @param path a file with 32 bytes in base64. */
  static masterKeyFrom(path: string): KeyObject {
    const bytes = Buffer.from(readFileSync(path, 'utf8').trim(), 'base64');
    if (bytes.length !== 32) throw new Error('the master key must be 32 bytes in base64');
    return createSecretKey(bytes);
  }

  has(tenant: string): boolean {
    return this.#keys.has(tenant);
  }

  /** Has these tenants' keys at hand for `seal` and `open`, making those that do not exist yet. */
  async ensure(tenants: Iterable<string>): Promise<void> {
    await this.#load(tenants, true);
  }

  /** Has those of these tenants' keys at hand that exist: reading makes none. */
  async find(tenants: Iterable<string>): Promise<void> {
    await this.#load(tenants, false);
  }

  async #load(tenants: Iterable<string>, make: boolean): Promise<void> {
    const missing = [...new Set(tenants)].filter((tenant) => !this.#keys.has(tenant));
    if (missing.length === 0) return;
    const fresh = make ? missing.map((tenant) => this.#wrap(tenant, 1, randomBytes(32))) : [];
    const { rows } = await inTenants(this.pool, missing, async (client) => {
      if (make)
        await client.query(
          `insert into es.tenant_key (tenant_id, key_version, wrapped)
         select t, 1, w from unnest($1::text[], $2::text[]) as k(t, w) order by t collate "C" on conflict do nothing`,
          [missing, fresh],
        );
      return client.query<{ tenant_id: string; key_version: number; wrapped: string }>(
        `select distinct on (tenant_id) tenant_id, key_version, wrapped from es.tenant_key order by tenant_id, key_version desc`,
      );
    });
    for (const row of rows) {
      const bytes = this.#unwrap(row.tenant_id, row.key_version, row.wrapped);
      this.#keys.set(row.tenant_id, { version: row.key_version, key: createSecretKey(bytes) });
    }
  }

  /**
   * Encrypts a text so that only this tenant's key opens it, and only in this place.
   * @param place what the text is, e.g. stream, type and field; bound as associated data.
   */
  seal(tenant: string, place: string, text: string): string {
    const { version, key } = this.#of(tenant);
    return `${version}.${encrypt(key, `${tenant}|${place}|${version}`, Buffer.from(text))}`;
  }

  /** The text, or `erased` where the tenant's key is gone. Throws on a text that was moved or altered. */
  open(tenant: string, place: string, sealed: string): string {
    const { version, key } = this.#of(tenant);
    const [sealedVersion, body] = sealed.split('.', 2);
    if (Number(sealedVersion) !== version || !body) return ERASED;
    return decrypt(key, `${tenant}|${place}|${version}`, body).toString();
  }

  /** A short fingerprint of a text that only the holder of the tenant's key can make or compare (HMAC-SHA-256). */
  fingerprint(tenant: string, text: string): string {
    return createHmac('sha256', this.#of(tenant).key).update(text).digest('base64url').slice(0, 22);
  }

  forgetIdle(): void {
    this.#keys.purgeStale();
  }

  #of(tenant: string) {
    const found = this.#keys.get(tenant);
    if (!found) throw new Error('a tenant key was used before it was loaded');
    return found;
  }

  #wrap(tenant: string, version: number, bytes: Buffer): string {
    return encrypt(this.master, `tenant-key|${tenant}|${version}`, bytes);
  }

  #unwrap(tenant: string, version: number, wrapped: string): Buffer {
    return decrypt(this.master, `tenant-key|${tenant}|${version}`, wrapped);
  }
}

function encrypt(key: KeyObject, place: string, plain: Buffer): string {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv(ALGORITHM, key, iv, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.from(place));
  return Buffer.concat([iv, cipher.update(plain), cipher.final(), cipher.getAuthTag()]).toString('base64');
}

function decrypt(key: KeyObject, place: string, sealed: string): Buffer {
  const bytes = Buffer.from(sealed, 'base64');
  const decipher = createDecipheriv(ALGORITHM, key, bytes.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(place));
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
  return Buffer.concat([decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES)), decipher.final()]);
}
