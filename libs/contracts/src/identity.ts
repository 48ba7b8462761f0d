import { z } from 'zod';
import { command, event, query, service } from './declare.js';
import { displayName, emptyObject, instant, page, pageOf, personal, storedText, tenantId, uuid } from './values.js';

export const role = z.enum(['owner', 'admin', 'member', 'viewer']);
const email = z.email().max(254).toLowerCase();
const password = z.string().min(10).max(200);
const keyId = z.string().regex(/^[a-z0-9]{16}$/);
/** What a key may do: never as much as the tenant's owner. */
const keyRole = role.exclude(['owner']);

export const apiKeyView = z.object({
  keyId,
  name: z.string(),
  role: keyRole,
  createdAt: instant,
  expiresAt: instant.nullable(),
  revokedAt: instant.nullable(),
});

export const identity = service('identity', {
  commands: {
    /** Under the `platform` context: registers a person and their tenant together, or neither. */
    signUp: command({
      input: z.strictObject({ email, password, tenant: tenantId, name: displayName.optional() }),
      output: z.object({ tenant: tenantId, userId: uuid, keyId, apiKey: z.string() }),
      refusals: ['email_taken', 'tenant_taken', 'tenant_reserved'],
    }),
    logIn: command({
      input: z.strictObject({ email: z.string().max(254), password: z.string().max(200) }),
      output: z.object({
        userId: uuid,
        sessionToken: z.string(),
        expiresAt: instant,
        tenants: z.array(z.object({ tenant: tenantId, role })),
      }),
      refusals: ['bad_credentials', 'locked'],
    }),
    logOut: command({ input: z.strictObject({ sessionToken: z.string().max(300) }), output: emptyObject }),
    createApiKey: command({
      input: z.strictObject({
        name: displayName,
        role: keyRole.default('admin'),
        expiresAt: instant.nullable().default(null),
      }),
      output: z.object({ keyId, apiKey: z.string() }),
      refusals: ['expiry_in_the_past', 'too_many_keys'],
    }),
    revokeApiKey: command({ input: z.strictObject({ keyId }), output: emptyObject, refusals: ['key_not_found'] }),
    /** Under the `platform` context, by an operator. */
    suspendTenant: command({
      input: z.strictObject({ tenant: tenantId, reason: storedText.trim().max(500) }),
      output: emptyObject,
      refusals: ['tenant_not_found'],
    }),
    resumeTenant: command({
      input: z.strictObject({ tenant: tenantId }),
      output: emptyObject,
      refusals: ['tenant_not_found'],
    }),
  },
  queries: {
    /** Under the `platform` context, by the edge: who is behind an API key or a login session's token. */
    authenticate: query({
      input: z.strictObject({ credential: z.string().max(300) }),
      output: z.object({
        principal: z.object({ kind: z.enum(['key', 'user', 'platform']), id: z.string() }),
        /** The memberships that the credential opens; exactly one for an API key, none for a platform key. */
        tenants: z.array(z.object({ tenant: tenantId, role, suspended: z.boolean() })),
        expiresAt: instant.nullable(),
      }),
      refusals: ['credential_unknown'],
    }),
    /** Under the `platform` context, for the session's own user. */
    whoAmI: query({
      input: z.strictObject({ userId: uuid }),
      output: z.object({
        userId: uuid,
        email: z.string(),
        name: z.string().nullable(),
        tenants: z.array(z.object({ tenant: tenantId, role })),
      }),
      refusals: ['user_not_found'],
    }),
    apiKeys: query({ input: z.strictObject({ ...page }), output: pageOf(apiKeyView) }),
    members: query({
      input: z.strictObject({ ...page }),
      output: pageOf(z.object({ userId: uuid, email: z.string(), role, joinedAt: instant })),
    }),
    /** Under the `platform` context, by an operator. */
    tenants: query({
      input: z.strictObject({ ...page }),
      output: pageOf(z.object({ tenant: tenantId, createdAt: instant, suspended: z.boolean() })),
    }),
    asOf: query({
      input: z.strictObject({ at: instant }),
      output: z.object({
        status: z.enum(['absent', 'active', 'suspended']),
        members: z.array(z.object({ userId: uuid, role })),
      }),
    }),
  },
  events: {
    TenantCreated: event(z.object({ tenant: tenantId, ownerUserId: uuid, createdAt: instant })),
    TenantSuspended: event(z.object({ reason: z.string() })),
    TenantResumed: event(z.object({})),
    /** The address is the tenant's own copy, under the tenant's key. */
    MemberJoined: event(z.object({ userId: uuid, role, email: personal(z.string()), joinedAt: instant })),
    /** The stream's id is an HMAC of the address, so that two sign-ups race for one stream and one of them loses. */
    EmailClaimed: event(z.object({ userId: uuid })),
    UserRegistered: event(
      z.object({
        userId: uuid,
        email: personal(z.string()),
        name: personal(z.string().nullable()),
        passwordHash: personal(z.string()),
      }),
    ),
    TenantJoined: event(z.object({ tenant: tenantId, role })),
    LoginSucceeded: event(z.object({ sessionId: uuid, sessionHash: personal(z.string()), expiresAt: instant })),
    /** In the address's stream, also when nobody has claimed the address: known and unknown accounts answer alike. */
    LoginFailed: event(z.object({ userId: uuid.nullable(), failedAt: instant })),
    LoggedOut: event(z.object({ sessionId: uuid })),
    ApiKeyCreated: event(
      z.object({
        keyId,
        name: personal(z.string()),
        role: keyRole,
        /** HMAC-SHA-256 of the secret under the deployment's pepper, base64url. */
        secretHash: personal(z.string()),
        createdBy: z.string(),
        createdAt: instant,
        expiresAt: instant.nullable(),
      }),
    ),
    ApiKeyRevoked: event(z.object({ keyId, revokedAt: instant })),
  },
});
