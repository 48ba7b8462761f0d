import { Controller } from '@nestjs/common';
import { identity, type InputOf, type OutputOf, PLATFORM, type ResultOf, type TenantContext } from '@reef/contracts';
import { EventStore } from '@reef/eventing';
import { refuse } from '@reef/eventing/pure';
import { Query } from '@reef/messaging';
import { keyring, streamOf, tenant, user } from './aggregates.js';
import { type Credential, Credentials } from './credentials/credentials.js';
import { Pepper } from './credentials/pepper.js';
import { isLive } from './domain/keyring.js';
import { unlessPlatform } from './permission.js';

const { authenticate } = identity.queries;
type Authenticated = OutputOf<typeof authenticate>;

@Controller()
export class AuthenticateQuery {
  constructor(
    private readonly store: EventStore,
    private readonly credentials: Credentials,
    private readonly pepper: Pepper,
  ) {}

  /** Forged, unknown, expired and revoked have one answer, so that nobody learns which keys exist. */
  @Query(authenticate)
  async authenticate(
    input: InputOf<typeof authenticate>,
    context: TenantContext,
  ): Promise<ResultOf<typeof authenticate>> {
    const forbidden = unlessPlatform(context);
    if (forbidden) return forbidden;
    const credential = this.credentials.parse(input.credential);
    const value = credential && (await this.#holderOf(credential, Date.now()));
    return value ? { ok: true, value } : refuse('credential_unknown', 'this credential opens nothing');
  }

  async #holderOf(credential: Credential, nowMs: number): Promise<Authenticated | null> {
    switch (credential.kind) {
      case 'platform':
        return { principal: { kind: 'platform', id: credential.keyId }, tenants: [], expiresAt: null };
      case 'key':
        return this.#holderOfKey(credential, nowMs);
      case 'session':
        return this.#holderOfSession(credential, nowMs);
    }
  }

  async #holderOfKey(credential: Extract<Credential, { kind: 'key' }>, nowMs: number): Promise<Authenticated | null> {
    const { tenant: id, keyId, secret } = credential;
    const [{ state: ring }, { state: home }] = await Promise.all([
      this.store.load(keyring, id, streamOf.keyring(id)),
      this.store.load(tenant, id, streamOf.tenant(id)),
    ]);
    const key = ring.keys.find((each) => each.keyId === keyId);
    if (!key || !this.pepper.matches('key', secret, key.secretHash)) return null;
    if (!isLive(key, nowMs) || home.status === 'absent') return null;
    return {
      principal: { kind: 'key', id: keyId },
      tenants: [{ tenant: id, role: key.role, suspended: home.status === 'suspended' }],
      expiresAt: key.expiresAt,
    };
  }

  async #holderOfSession(
    credential: Extract<Credential, { kind: 'session' }>,
    nowMs: number,
  ): Promise<Authenticated | null> {
    const { userId, sessionId, secret } = credential;
    const { state: account } = await this.store.load(user, PLATFORM, streamOf.user(userId));
    if (account.status !== 'registered') return null;
    const session = account.sessions.find((each) => each.sessionId === sessionId);
    if (!session || !this.pepper.matches('session', secret, session.sessionHash)) return null;
    if (Date.parse(session.expiresAt) <= nowMs) return null;
    return {
      principal: { kind: 'user', id: userId },
      tenants: await this.#memberships(userId, Object.keys(account.tenants)),
      expiresAt: session.expiresAt,
    };
  }

  /** The tenant's own stream has the last word on who belongs to it. */
  async #memberships(userId: string, tenants: string[]): Promise<Authenticated['tenants']> {
    const homes = await Promise.all(
      tenants.map(async (id) => ({ id, home: (await this.store.load(tenant, id, streamOf.tenant(id))).state })),
    );
    return homes.flatMap(({ id, home }) => {
      const role = home.status === 'absent' ? undefined : home.members[userId];
      return role ? [{ tenant: id, role, suspended: home.status === 'suspended' }] : [];
    });
  }
}
