import { budgets, dispatch, identity, workspace } from '@reef/contracts';
import { z } from 'zod';
import { ANYBODY, type Identity } from '../auth/contexts.js';
import { credentialOf, endedSessionCookie, sessionCookie } from '../auth/credential.js';
import { refused } from '../http/refusals.js';
import { andThen, type Call, ok, route } from '../http/route.js';
import { idFrom } from '../ids.js';

const DEFAULT_AGENT = 'main';
/** How long sign-up waits for a service to lay out the new tenant; what is late happens by reaction to TenantCreated. */
const OPENING_TIMEOUT_MS = 5_000;

const tenants = z.array(z.object({ tenant: z.string(), role: z.string() }));

export const accountRoutes = [
  route({
    method: 'POST',
    path: '/api/signup',
    summary: 'Register a person and their tenant together, with an API key and the agent `main`',
    access: { plane: 'public' },
    body: identity.commands.signUp.input,
    answer: {
      status: 201,
      body: z.object({ tenant: z.string(), user: z.string(), apiKey: z.string(), agent: z.string() }),
    },
    async handle(call) {
      const signedUp = await call.ask(identity.commands.signUp, call.body, { as: ANYBODY });
      if (!signedUp.ok) return signedUp;
      const { tenant, userId, apiKey } = signedUp.value;
      await openTenant(call, { tenant, principal: { kind: 'user', id: userId }, role: 'owner' });
      return ok({ tenant, user: userId, apiKey, agent: DEFAULT_AGENT });
    },
  }),
  route({
    method: 'POST',
    path: '/api/login',
    summary: 'Log in with e-mail and password: sets the session cookie and returns its token',
    access: { plane: 'public' },
    body: identity.commands.logIn.input,
    answer: {
      status: 200,
      body: z.object({ token: z.string(), user: z.string(), expiresAt: z.iso.datetime(), tenants }),
    },
    async handle(call) {
      const loggedIn = await call.ask(identity.commands.logIn, call.body, { as: ANYBODY });
      if (!loggedIn.ok) return loggedIn;
      const { sessionToken, userId, expiresAt, tenants: memberships } = loggedIn.value;
      call.reply.header('set-cookie', sessionCookie(call.request, sessionToken, expiresAt));
      return ok({ token: sessionToken, user: userId, expiresAt, tenants: memberships });
    },
  }),
  route({
    method: 'POST',
    path: '/api/logout',
    summary: 'End the session',
    access: { plane: 'account' },
    answer: { status: 204 },
    async handle(call) {
      const credential = credentialOf(call.request);
      if (call.caller.principal.kind !== 'user' || !credential)
        return refused('forbidden', 'this is an API key: revoke it instead');
      const loggedOut = await call.ask(identity.commands.logOut, { sessionToken: credential.text });
      if (!loggedOut.ok) return loggedOut;
      call.edge.authenticator.forget(credential.text);
      call.reply.header('set-cookie', endedSessionCookie(call.request));
      return ok(null);
    },
  }),
  route({
    method: 'GET',
    path: '/api/me',
    summary: 'Who this credential belongs to, and the tenants it opens',
    access: { plane: 'account' },
    answer: {
      status: 200,
      body: z.object({
        principal: z.object({ kind: z.string(), id: z.string() }),
        user: z.object({ userId: z.string(), email: z.string(), name: z.string().nullable() }).nullable(),
        tenants,
      }),
    },
    async handle(call) {
      const { principal } = call.caller;
      const memberships = call.caller.tenants.map(({ tenant, role }) => ({ tenant, role }));
      if (principal.kind !== 'user') return ok({ principal, user: null, tenants: memberships });
      const found = await call.ask(identity.queries.whoAmI, { userId: principal.id });
      return andThen(found, ({ userId, email, name, tenants: current }) => ({
        principal,
        user: { userId, email, name },
        tenants: current,
      }));
    },
  }),
];

/**
 * Has the services lay out a new tenant at once, so that its owner's next request finds everything. Each of them does the same by
 * itself on TenantCreated and knows when it is done, so a late or missing answer here changes nothing.
 */
async function openTenant(call: Call, owner: Identity): Promise<void> {
  const opening = [dispatch.commands.openTenant, budgets.commands.openTenant, workspace.commands.openTenant];
  const ask = (message: (typeof opening)[number]) =>
    call.ask(
      message,
      {},
      {
        as: owner,
        commandId: idFrom([call.commandId, message.service]),
        causationId: call.commandId,
        timeoutMs: OPENING_TIMEOUT_MS,
      },
    );
  await Promise.allSettled(opening.map(ask));
}
