import { Controller } from '@nestjs/common';
import { identity, type InputOf, PLATFORM, type Refusal, type ResultOf, type TenantContext } from '@reef/contracts';
import { EventStore } from '@reef/eventing';
import { refuse } from '@reef/eventing/pure';
import { Command, newId } from '@reef/messaging';
import { contracted } from '@reef/service';
import { email, keyring, on, streamOf, tenant, user } from './aggregates.js';
import { Credentials } from './credentials/credentials.js';
import { Passwords } from './credentials/passwords.js';
import { Pepper } from './credentials/pepper.js';
import { refusalIfLocked } from './domain/email.js';
import type { User } from './domain/user.js';
import { unlessPlatform } from './permission.js';
import { isReserved } from './reserved.js';

const { signUp, logIn, logOut } = identity.commands;

const SESSION_MS = 30 * 24 * 3_600_000;
/** A user id that no user has: loaded for an address without an account, so that it takes the same steps. */
const NOBODY = '00000000-0000-7000-8000-000000000000';

@Controller()
export class AccountCommands {
  constructor(
    private readonly store: EventStore,
    private readonly credentials: Credentials,
    private readonly passwords: Passwords,
    private readonly pepper: Pepper,
  ) {}

  /** An address, its person, their tenant and its first key: four streams, all or nothing. */
  @Command(signUp)
  async signUp(input: InputOf<typeof signUp>, context: TenantContext): Promise<ResultOf<typeof signUp>> {
    const forbidden = unlessPlatform(context);
    if (forbidden) return forbidden;
    if (isReserved(input.tenant)) return refuse('tenant_reserved', 'this tenant name is reserved');

    // Hashed before anything is decided: how long an answer takes does not tell what was taken.
    const passwordHash = await this.passwords.hash(input.password);
    if (passwordHash === null) return overloaded();

    const [userId, keyId, createdAt] = [newId(), this.credentials.newKeyId(), new Date().toISOString()];
    const key = this.credentials.issueKey(input.tenant, keyId);
    const person = { userId, email: input.email, name: input.name ?? null, passwordHash, tenant: input.tenant };
    const founding = { tenant: input.tenant, ownerUserId: userId, ownerEmail: input.email, createdAt };
    const firstKey = {
      keyId,
      name: 'First key',
      role: 'admin' as const,
      secretHash: key.secretHash,
      createdBy: userId,
      createdAt,
      expiresAt: null,
    };
    const result = await this.store.executeAll(
      [
        on(email, PLATFORM, this.#emailStream(input.email), { type: 'claim', data: { userId } }),
        on(tenant, input.tenant, streamOf.tenant(input.tenant), { type: 'create', data: founding }),
        on(user, PLATFORM, streamOf.user(userId), { type: 'register', data: person }, true),
        on(keyring, input.tenant, streamOf.keyring(input.tenant), { type: 'create', data: firstKey }),
      ],
      {
        context: this.#withKeyedFingerprint(context),
        sealReply: true,
        reply: () => ({ tenant: input.tenant, userId, keyId, apiKey: key.text }),
      },
    );
    return contracted(signUp, result);
  }

  /** Addresses with and without an account take the same steps, so that neither answer nor time tells them apart. */
  @Command(logIn)
  async logIn(input: InputOf<typeof logIn>, context: TenantContext): Promise<ResultOf<typeof logIn>> {
    const forbidden = unlessPlatform(context);
    if (forbidden) return forbidden;

    const emailStream = this.#emailStream(input.email);
    const { state: address } = await this.store.load(email, PLATFORM, emailStream);
    const locked = refusalIfLocked(address, Date.now());
    if (locked) return locked;

    const { state: account } = await this.store.load(user, PLATFORM, streamOf.user(address.userId ?? NOBODY));
    const passwordHash = account.status === 'registered' ? account.passwordHash : null;
    const isRight = await this.passwords.verify(passwordHash, input.password);
    if (isRight === null) return overloaded();
    return isRight && account.status === 'registered'
      ? this.#openSession(account, emailStream, context)
      : this.#refuseLogIn(emailStream, context);
  }

  /** Ends the session that the token opens; a token that opens none has nothing to end. */
  @Command(logOut)
  async logOut(input: InputOf<typeof logOut>, context: TenantContext): Promise<ResultOf<typeof logOut>> {
    const forbidden = unlessPlatform(context);
    if (forbidden) return forbidden;
    const session = this.credentials.parse(input.sessionToken);
    if (session?.kind !== 'session') return { ok: true, value: {} };
    const { userId, sessionId } = session;
    const result = await this.store.execute(user, {
      tenant: PLATFORM,
      stream: streamOf.user(userId),
      command: { type: 'logOut', data: { sessionId } },
      context,
      reply: () => ({}),
    });
    return contracted(logOut, result);
  }

  async #openSession(
    account: Extract<User, { status: 'registered' }>,
    emailStream: string,
    context: TenantContext,
  ): Promise<ResultOf<typeof logIn>> {
    const [sessionId, nowMs, { userId }] = [newId(), Date.now(), account];
    const expiresAt = new Date(nowMs + SESSION_MS).toISOString();
    const session = this.credentials.issueSession(userId, sessionId);
    const tenants = Object.entries(account.tenants).map(([id, role]) => ({ tenant: id, role }));
    const opened = { sessionId, sessionHash: session.secretHash, expiresAt };
    const result = await this.store.executeAll(
      [
        // Guesses sent side by side all saw an address without a lock, so the commit asks once more.
        on(email, PLATFORM, emailStream, { type: 'admit', data: { nowMs } }),
        on(user, PLATFORM, streamOf.user(userId), { type: 'openSession', data: opened }),
      ],
      {
        context: this.#withKeyedFingerprint(context),
        sealReply: true,
        reply: () => ({ userId, sessionToken: session.text, expiresAt, tenants }),
      },
    );
    return contracted(logIn, result);
  }

  async #refuseLogIn(emailStream: string, context: TenantContext): Promise<ResultOf<typeof logIn>> {
    const wrong: Refusal<'bad_credentials'> = refuse('bad_credentials', 'the e-mail address or the password is wrong');
    const recorded = await this.store.execute(email, {
      tenant: PLATFORM,
      stream: emailStream,
      command: { type: 'recordFailure', data: { nowMs: Date.now() } },
      context: this.#withKeyedFingerprint(context),
    });
    return contracted(logIn, recorded.ok ? wrong : recorded);
  }

  #emailStream(address: string): string {
    return streamOf.email(this.pepper.hash('email', address.trim().toLowerCase()));
  }

  /** The fingerprint is stored, and an unkeyed hash of a password would invite guesses that argon2id is there to prevent. */
  #withKeyedFingerprint(context: TenantContext): TenantContext {
    return { ...context, fingerprint: this.pepper.hash('command', context.fingerprint) };
  }
}

const overloaded = () => refuse('overloaded', 'too many passwords are being checked; try again shortly');
