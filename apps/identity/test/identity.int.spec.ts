import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { identity, type InputOf, PLATFORM } from '@reef/contracts';
import { type Speaker, startService, type TestService } from '@reef/testing';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { definition, IdentityModule } from '../src/identity.module.js';

const { signUp, logIn, logOut, createApiKey, revokeApiKey, suspendTenant, resumeTenant } = identity.commands;
const { authenticate, whoAmI, apiKeys, members, tenants, asOf } = identity.queries;

const PLATFORM_KEY = 'reef_platform_ops_0123456789abcdef';
const PASSWORD = 'correct horse battery';
const WRONG = 'wrong horse battery';
const anonymous: Speaker = { principal: { kind: 'anonymous', id: 'edge' }, role: 'none' };
const operator: Speaker = { principal: { kind: 'platform', id: 'ops' }, role: 'operator' };

// Hundreds of password hashes: on a machine that is busy otherwise they take their time.
jest.setTimeout(60_000);
const patient: Speaker = { timeoutMs: 50_000 };

let service: TestService;
beforeAll(async () => {
  const pepperFile = join(mkdtempSync(join(tmpdir(), 'reef-pepper-')), 'pepper');
  writeFileSync(pepperFile, randomBytes(32).toString('base64'));
  service = await startService(definition, IdentityModule, {
    env: { API_KEY_PEPPER_FILE: pepperFile, PLATFORM_KEY },
  });
});
afterAll(async () => {
  expect(await service.replayCheck()).toEqual([]);
  await service[Symbol.asyncDispose]();
});

const newEmail = () => `${randomBytes(6).toString('hex')}@example.test`;
const trySignUp = (input: Partial<InputOf<typeof signUp>> = {}, speaker: Speaker = {}) =>
  service.send(
    signUp,
    PLATFORM,
    { email: newEmail(), password: PASSWORD, tenant: service.tenant(), ...input },
    { ...anonymous, ...speaker },
  );
const tryLogIn = (email: string, password: string, speaker: Speaker = {}) =>
  service.send(logIn, PLATFORM, { email, password }, { ...anonymous, ...speaker });
const who = (credential: string) => service.send(authenticate, PLATFORM, { credential }, anonymous);

/** The answer of something that has to work for the test to make sense. */
function must<Value>(result: { ok: true; value: Value } | { ok: false; code: string; message: string }): Value {
  if (!result.ok) throw new Error(`${result.code}: ${result.message}`);
  return result.value;
}

async function signedUp() {
  const email = newEmail();
  return { email, ...must(await trySignUp({ email, name: 'Ada' })) };
}

describe('signing up', () => {
  test('makes a person, a tenant and a key that opens it', async () => {
    const { tenant, userId, keyId, apiKey } = await signedUp();
    expect(apiKey).toMatch(new RegExp(`^reef_${tenant}_${keyId}_[0-9a-f]+$`));
    expect(await who(apiKey)).toEqual({
      ok: true,
      value: {
        principal: { kind: 'key', id: keyId },
        tenants: [{ tenant, role: 'admin', suspended: false }],
        expiresAt: null,
      },
    });
    expect((await service.eventsOf(tenant)).map(({ stream, type }) => `${stream} ${type}`).toSorted()).toEqual([
      `keyring/${tenant} ApiKeyCreated`,
      `tenant/${tenant} MemberJoined`,
      `tenant/${tenant} TenantCreated`,
    ]);
    const told = await service.nextEvent(identity.events.TenantCreated, tenant);
    expect(told.data).toMatchObject({ tenant, ownerUserId: userId });
  });

  test('twice for one address: the second is refused, whatever the case of its letters, and leaves no tenant', async () => {
    const { email } = await signedUp();
    const tenant = service.tenant();
    expect(await trySignUp({ email: email.toUpperCase(), tenant })).toMatchObject({ ok: false, code: 'email_taken' });
    expect(await service.eventsOf(tenant)).toEqual([]);
  });

  test('twice for one tenant: the second is refused, and its address stays free', async () => {
    const { tenant } = await signedUp();
    const email = newEmail();
    expect(await trySignUp({ email, tenant })).toMatchObject({ ok: false, code: 'tenant_taken' });
    expect(await trySignUp({ email })).toMatchObject({ ok: true });
  });

  test('ten at once for one address: exactly one wins', async () => {
    const email = newEmail();
    const results = await Promise.all(Array.from({ length: 10 }, () => trySignUp({ email })));
    const lost = results.filter((result) => !result.ok);
    expect(lost).toHaveLength(9);
    for (const result of lost) expect(result).toMatchObject({ code: 'email_taken' });
  });

  test('ten at once for one tenant: exactly one wins, and the nine others left nothing behind', async () => {
    const tenant = service.tenant();
    const emails = Array.from({ length: 10 }, newEmail);
    const results = await Promise.all(emails.map((email) => trySignUp({ email, tenant })));
    expect(results.filter((result) => result.ok)).toHaveLength(1);
    for (const [index, result] of results.entries()) {
      if (result.ok) continue;
      expect(result).toMatchObject({ code: 'tenant_taken' });
      expect(await trySignUp({ email: emails[index]! })).toMatchObject({ ok: true });
    }
    expect(await service.eventsOf(tenant)).toHaveLength(3);
  });

  test('sent twice gives the same key, and one tenant', async () => {
    const input = { email: newEmail(), password: PASSWORD, tenant: service.tenant() };
    const [first, atOnce] = await Promise.all([
      trySignUp(input, { commandId: input.tenant }),
      trySignUp(input, { commandId: input.tenant }),
    ]);
    expect(first.ok).toBe(true);
    expect(atOnce).toEqual(first);
    expect(await trySignUp(input, { commandId: input.tenant })).toEqual(first);
    expect(await service.eventsOf(input.tenant)).toHaveLength(3);
  });

  test('under the same command id with another password is refused', async () => {
    const input = { email: newEmail(), tenant: service.tenant() };
    must(await trySignUp(input, { commandId: input.tenant }));
    const again = await trySignUp({ ...input, password: WRONG }, { commandId: input.tenant });
    expect(again).toMatchObject({ ok: false, code: 'command_id_reused' });
  });

  test('reserved names are refused', async () => {
    for (const tenant of [PLATFORM, 'session', 'admin']) {
      expect(await trySignUp({ tenant })).toMatchObject({ ok: false, code: 'tenant_reserved' });
    }
  });

  test('is for the platform alone: a tenant context cannot found another tenant', async () => {
    const input = { email: newEmail(), password: PASSWORD, tenant: service.tenant() };
    expect(await service.send(signUp, service.tenant(), input)).toMatchObject({ ok: false, code: 'forbidden' });
  });
});

describe('logging in', () => {
  test('opens a session for thirty days, which logging out ends', async () => {
    const { email, userId, tenant } = await signedUp();
    const session = must(await tryLogIn(` ${email.toUpperCase()} `, PASSWORD));
    expect(session).toMatchObject({ userId, tenants: [{ tenant, role: 'owner' }] });
    const leftMs = Date.parse(session.expiresAt) - Date.now();
    expect(leftMs).toBeGreaterThan(30 * 24 * 3_600_000 - 10_000);
    expect(leftMs).toBeLessThanOrEqual(30 * 24 * 3_600_000);
    expect(must(await who(session.sessionToken))).toEqual({
      principal: { kind: 'user', id: userId },
      tenants: [{ tenant, role: 'owner', suspended: false }],
      expiresAt: session.expiresAt,
    });
    const { sessionToken } = session;
    for (let time = 0; time < 2; time++) {
      expect(await service.send(logOut, PLATFORM, { sessionToken }, anonymous)).toEqual({ ok: true, value: {} });
    }
    expect(await who(sessionToken)).toMatchObject({ ok: false, code: 'credential_unknown' });
  });

  test('sent twice gives the same session', async () => {
    const { email } = await signedUp();
    const first = await tryLogIn(email, PASSWORD, { commandId: email });
    expect(first.ok).toBe(true);
    expect(await tryLogIn(email, PASSWORD, { commandId: email })).toEqual(first);
  });

  test('a wrong password and an unknown address have one answer, from the first failure to the lock', async () => {
    const { email } = await signedUp();
    const [known, unknown]: unknown[][] = [[], []];
    for (let attempt = 1; attempt <= 12; attempt++) {
      known!.push(await tryLogIn(email, WRONG));
    }
    const nobody = newEmail();
    for (let attempt = 1; attempt <= 12; attempt++) {
      unknown!.push(await tryLogIn(nobody, WRONG));
    }
    const withoutTime = (results: unknown[]) =>
      results.map((result) => JSON.stringify(result).replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/, 'then'));
    expect(withoutTime(unknown!)).toEqual(withoutTime(known!));
    const codes = known!.map((result) => (result as { code: string }).code);
    expect(codes).toEqual([...Array<string>(10).fill('bad_credentials'), 'locked', 'locked']);
  });

  test('they take the same time', async () => {
    const { email } = await signedUp();
    const spentMs = async (address: string) => {
      const startedMs = performance.now();
      expect(await tryLogIn(address, WRONG)).toMatchObject({ code: 'bad_credentials' });
      return performance.now() - startedMs;
    };
    const nobody = newEmail();
    const known: number[] = [];
    const unknown: number[] = [];
    for (let attempt = 0; attempt < 9; attempt++) {
      known.push(await spentMs(email));
      unknown.push(await spentMs(nobody));
    }
    const median = (times: number[]) => times.toSorted((a, b) => a - b)[4]!;
    expect(median(unknown)).toBeGreaterThan(median(known) / 2);
    expect(median(unknown)).toBeLessThan(median(known) * 2);
  });

  test('a locked account stays shut for the right password too, and other accounts stay open', async () => {
    const [victim, other] = [await signedUp(), await signedUp()];
    for (let attempt = 1; attempt <= 10; attempt++) await tryLogIn(victim.email, WRONG);
    const locked = await tryLogIn(victim.email, PASSWORD);
    expect(locked).toMatchObject({ ok: false, code: 'locked' });
    const until = Date.parse(locked.ok ? '' : String(locked.details?.['until']));
    expect(until - Date.now()).toBeGreaterThan(14 * 60_000);
    expect(until - Date.now()).toBeLessThanOrEqual(15 * 60_000);
    expect(await tryLogIn(other.email, PASSWORD)).toMatchObject({ ok: true });
  });

  test('guesses sent side by side are counted one by one', async () => {
    const { email } = await signedUp();
    const guesses = await Promise.all(Array.from({ length: 30 }, () => tryLogIn(email, WRONG, patient)));
    const codes = guesses.map((guess) => (guess.ok ? 'ok' : guess.code));
    expect(codes.filter((code) => code === 'bad_credentials')).toHaveLength(10);
    expect(codes.filter((code) => code === 'locked')).toHaveLength(20);
  });

  test('more than 64 that wait are told to come again', async () => {
    const { email } = await signedUp();
    const attempts = await Promise.all(Array.from({ length: 120 }, () => tryLogIn(email, PASSWORD, patient)));
    const codes = attempts.map((attempt) => (attempt.ok ? 'ok' : attempt.code));
    expect(new Set(codes)).toEqual(new Set(['ok', 'overloaded']));
  });

  test('is for the platform alone', async () => {
    const { email, tenant } = await signedUp();
    const inTenant = await service.send(logIn, tenant, { email, password: PASSWORD });
    expect(inTenant).toMatchObject({ ok: false, code: 'forbidden' });
  });
});

describe('API keys', () => {
  test('are told once, work at once, and end at once', async () => {
    const { tenant } = await signedUp();
    const made = must(await service.send(createApiKey, tenant, { name: 'CI', role: 'viewer', expiresAt: null }));
    expect(must(await who(made.apiKey)).tenants).toEqual([{ tenant, role: 'viewer', suspended: false }]);
    expect(await service.send(revokeApiKey, tenant, { keyId: made.keyId })).toEqual({ ok: true, value: {} });
    expect(await who(made.apiKey)).toMatchObject({ ok: false, code: 'credential_unknown' });
    const listed = must(await service.send(apiKeys, tenant, { limit: 50 }));
    expect(listed.items.map(({ name, role, revokedAt }) => [name, role, revokedAt !== null])).toEqual([
      ['CI', 'viewer', true],
      ['First key', 'admin', false],
    ]);
  });

  test('the same command twice gives the same key', async () => {
    const { tenant } = await signedUp();
    const input = { name: 'CI', role: 'admin' as const, expiresAt: null };
    const first = must(await service.send(createApiKey, tenant, input, { commandId: 'once' }));
    expect(must(await service.send(createApiKey, tenant, input, { commandId: 'once' }))).toEqual(first);
    expect(must(await service.send(apiKeys, tenant, { limit: 50 })).items).toHaveLength(2);
  });

  test('expire by themselves', async () => {
    const { tenant } = await signedUp();
    const expiresAt = new Date(Date.now() + 1_000).toISOString();
    const { apiKey } = must(await service.send(createApiKey, tenant, { name: 'brief', role: 'admin', expiresAt }));
    expect(must(await who(apiKey)).expiresAt).toBe(expiresAt);
    await new Promise((later) => setTimeout(later, 1_010));
    expect(await who(apiKey)).toMatchObject({ ok: false, code: 'credential_unknown' });
    const late = await service.send(createApiKey, tenant, { name: 'late', role: 'admin', expiresAt });
    expect(late).toMatchObject({ ok: false, code: 'expiry_in_the_past' });
  });

  test('sixty asked for at once: exactly fifty live', async () => {
    const { tenant } = await signedUp();
    const input = { name: 'many', role: 'member' as const, expiresAt: null };
    const results = await Promise.all(Array.from({ length: 60 }, () => service.send(createApiKey, tenant, input)));
    expect(results.filter((result) => result.ok)).toHaveLength(49); // The fiftieth came with the tenant.
    expect(results.filter((result) => !result.ok && result.code === 'too_many_keys')).toHaveLength(11);
  });

  test('unknown, forged and revoked keys have one answer', async () => {
    const { tenant, apiKey, keyId } = await signedUp();
    must(await service.send(revokeApiKey, tenant, { keyId }));
    const forged = apiKey.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
    const answers = await Promise.all(['', 'x', 'reef_a_b_c', forged, apiKey, PLATFORM_KEY + 'x'].map(who));
    expect(answers[0]).toMatchObject({ ok: false, code: 'credential_unknown' });
    for (const answer of answers) expect(answer).toEqual(answers[0]);
  });

  test('a key that was never issued makes no work and leaves no trace in the database', async () => {
    const tenant = service.tenant();
    const secret = '0'.repeat(80);
    expect(await who(`reef_${tenant}_${'a'.repeat(16)}_${secret}`)).toMatchObject({ code: 'credential_unknown' });
    const { rows } = await service.owner.query('select 1 from es.tenant_key where tenant_id = $1', [tenant]);
    expect(rows).toEqual([]);
  });

  test('only owners and admins make, see and revoke them', async () => {
    const { tenant, keyId } = await signedUp();
    for (const role of ['member', 'viewer', 'operator', 'none'] as const) {
      const input = { name: 'x', role: 'admin' as const, expiresAt: null };
      expect(await service.send(createApiKey, tenant, input, { role })).toMatchObject({ code: 'forbidden' });
      expect(await service.send(revokeApiKey, tenant, { keyId }, { role })).toMatchObject({ code: 'forbidden' });
      expect(await service.send(apiKeys, tenant, { limit: 1 }, { role })).toMatchObject({ code: 'forbidden' });
    }
  });

  test('come in pages, newest first, each key once', async () => {
    const { tenant } = await signedUp();
    for (let index = 0; index < 6; index++) {
      must(await service.send(createApiKey, tenant, { name: `key ${index}`, role: 'admin', expiresAt: null }));
    }
    const seen: { name: string; createdAt: string }[] = [];
    let cursor: string | undefined;
    do {
      const page = must(await service.send(apiKeys, tenant, { limit: 3, ...(cursor && { cursor }) }));
      expect(page.items.length).toBeLessThanOrEqual(3);
      seen.push(...page.items);
      cursor = page.nextCursor ?? undefined;
    } while (cursor);
    const names = seen.map(({ name }) => name).toSorted();
    expect(names).toEqual(['First key', 'key 0', 'key 1', 'key 2', 'key 3', 'key 4', 'key 5']);
    const times = seen.map(({ createdAt }) => createdAt);
    expect(times).toEqual(times.toSorted().toReversed());
    for (const strange of [
      'x',
      Buffer.from('["a","b"]').toString('base64url'),
      Buffer.from('[1]').toString('base64url'),
    ]) {
      const refused = { ok: false, code: 'invalid_input' };
      expect(await service.send(apiKeys, tenant, { limit: 3, cursor: strange })).toMatchObject(refused);
      expect(await service.send(members, tenant, { limit: 3, cursor: strange })).toMatchObject(refused);
      expect(await service.send(tenants, PLATFORM, { limit: 3, cursor: strange }, operator)).toMatchObject(refused);
    }
  });
});

describe('a tenant', () => {
  test("sees its own members and keys, and nothing of another's", async () => {
    const [acme, globex] = [await signedUp(), await signedUp()];
    const page = { limit: 50 };
    expect(must(await service.send(members, acme.tenant, page)).items).toMatchObject([
      { userId: acme.userId, email: acme.email, role: 'owner' },
    ]);
    expect(must(await service.send(apiKeys, acme.tenant, page)).items.map(({ keyId }) => keyId)).toEqual([acme.keyId]);
    const foreign = await service.send(revokeApiKey, globex.tenant, { keyId: acme.keyId });
    const missing = await service.send(revokeApiKey, globex.tenant, { keyId: 'a'.repeat(16) });
    expect(foreign).toMatchObject({ ok: false, code: 'key_not_found' });
    expect(foreign).toEqual(missing);
    expect(await who(acme.apiKey)).toMatchObject({ ok: true });
    const nobody = service.tenant();
    expect(must(await service.send(members, nobody, page))).toEqual({ items: [], nextCursor: null });
    expect(must(await service.send(apiKeys, nobody, page))).toEqual({ items: [], nextCursor: null });
  });

  test('is suspended and resumed by operators alone, and its credentials say so at once', async () => {
    const { tenant, email, apiKey } = await signedUp();
    const { sessionToken } = must(await tryLogIn(email, PASSWORD));
    const reason = 'unpaid';
    expect(await service.send(suspendTenant, PLATFORM, { tenant, reason }, anonymous)).toMatchObject({
      code: 'forbidden',
    });
    expect(await service.send(suspendTenant, tenant, { tenant, reason }, operator)).toMatchObject({
      code: 'forbidden',
    });
    expect(await service.send(suspendTenant, PLATFORM, { tenant, reason }, operator)).toEqual({ ok: true, value: {} });
    for (const credential of [apiKey, sessionToken]) {
      expect(must(await who(credential)).tenants).toMatchObject([{ tenant, suspended: true }]);
    }
    expect(await service.send(resumeTenant, PLATFORM, { tenant }, anonymous)).toMatchObject({ code: 'forbidden' });
    expect(await service.send(resumeTenant, PLATFORM, { tenant }, operator)).toEqual({ ok: true, value: {} });
    expect(must(await who(apiKey)).tenants).toMatchObject([{ tenant, suspended: false }]);
    const unknown = service.tenant();
    for (const refused of [
      await service.send(suspendTenant, PLATFORM, { tenant: unknown, reason }, operator),
      await service.send(resumeTenant, PLATFORM, { tenant: unknown }, operator),
    ]) {
      expect(refused).toMatchObject({ ok: false, code: 'tenant_not_found' });
    }
  });

  test('can be seen as it was', async () => {
    const { tenant, userId } = await signedUp();
    const members = [{ userId, role: 'owner' }];
    const founded = new Date().toISOString();
    await new Promise((later) => setTimeout(later, 5));
    must(await service.send(suspendTenant, PLATFORM, { tenant, reason: 'unpaid' }, operator));
    const then = async (at: string) => must(await service.send(asOf, tenant, { at }));
    expect(await then('2020-01-01T00:00:00Z')).toEqual({ status: 'absent', members: [] });
    expect(await then(founded)).toEqual({ status: 'active', members });
    expect(await then(new Date().toISOString())).toEqual({ status: 'suspended', members });
    expect(await service.send(asOf, tenant, { at: founded }, { role: 'viewer' })).toMatchObject({ code: 'forbidden' });
  });
});

describe('the platform', () => {
  test('its key opens the platform and no tenant', async () =>
    expect(must(await who(PLATFORM_KEY))).toEqual({
      principal: { kind: 'platform', id: 'ops' },
      tenants: [],
      expiresAt: null,
    }));

  test('lists every tenant by name, page by page, to operators alone', async () => {
    const founded = [await signedUp(), await signedUp(), await signedUp()].map(({ tenant }) => tenant);
    must(await service.send(suspendTenant, PLATFORM, { tenant: founded[0]!, reason: 'unpaid' }, operator));
    const seen: { tenant: string; suspended: boolean }[] = [];
    let cursor: string | undefined;
    do {
      const page = must(await service.send(tenants, PLATFORM, { limit: 2, ...(cursor && { cursor }) }, operator));
      expect(page.items.length).toBeLessThanOrEqual(2);
      seen.push(...page.items);
      cursor = page.nextCursor ?? undefined;
    } while (cursor);
    const names = seen.map(({ tenant }) => tenant);
    expect(names).toEqual([...new Set(names)].toSorted());
    expect(names).toEqual(expect.arrayContaining(founded));
    expect(seen.find(({ tenant }) => tenant === founded[0])?.suspended).toBe(true);
    expect(seen.find(({ tenant }) => tenant === founded[1])?.suspended).toBe(false);
    expect(await service.send(tenants, PLATFORM, { limit: 2 }, anonymous)).toMatchObject({ code: 'forbidden' });
    expect(await service.send(tenants, founded[0]!, { limit: 2 }, operator)).toMatchObject({ code: 'forbidden' });
  });

  test('tells a person about themselves, and about nobody else', async () => {
    const { userId, email, tenant } = await signedUp();
    const asked = (id: string) =>
      service.send(whoAmI, PLATFORM, { userId }, { principal: { kind: 'user', id }, role: 'none' });
    expect(must(await asked(userId))).toEqual({ userId, email, name: 'Ada', tenants: [{ tenant, role: 'owner' }] });
    expect(await asked('somebody else')).toMatchObject({ ok: false, code: 'forbidden' });
  });

  test('authenticates nobody under a tenant', async () => {
    const { tenant, apiKey } = await signedUp();
    expect(await service.send(authenticate, tenant, { credential: apiKey })).toMatchObject({ code: 'forbidden' });
  });
});

test('no table holds a secret, an address or a name in the clear', async () => {
  const email = newEmail();
  const { tenant, apiKey } = must(await trySignUp({ email, name: 'Augusta King' }));
  const { sessionToken } = must(await tryLogIn(email, PASSWORD));
  must(await service.send(createApiKey, tenant, { name: 'the very secret CI', role: 'admin', expiresAt: null }));
  const { rows: tables } = await service.owner.query<{ name: string }>(
    `select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname in ('es', 'view')`,
  );
  expect(tables.map(({ name }) => name)).toEqual(expect.arrayContaining(['es.event', 'es.command', 'view.members']));
  const secretOf = (credential: string) => credential.split('_').at(-1)!;
  const secrets = [email, PASSWORD, 'Augusta King', 'the very secret CI', secretOf(apiKey), secretOf(sessionToken)];
  for (const { name } of tables) {
    const { rows } = await service.owner.query<{ whole: string }>(`select t::text as whole from ${name} t`);
    const whole = rows.map((row) => row.whole).join('\n');
    for (const secret of [...secrets, '$argon2id$']) expect(whole.includes(secret)).toBe(false);
  }
});

test('everything outlives the process', async () => {
  const { email, apiKey, tenant } = await signedUp();
  const { sessionToken } = must(await tryLogIn(email, PASSWORD));
  for (let attempt = 1; attempt <= 10; attempt++) await tryLogIn(email, WRONG);
  await service.restart();
  expect(must(await who(apiKey)).tenants).toMatchObject([{ tenant }]);
  expect(must(await who(sessionToken)).tenants).toMatchObject([{ tenant }]);
  expect(await tryLogIn(email, PASSWORD)).toMatchObject({ ok: false, code: 'locked' });
  expect((await service.replay({ check: false })).differences).toEqual([]);
  expect(must(await service.send(members, tenant, { limit: 50 })).items).toMatchObject([{ email }]);
});
