import { identity } from '@reef/contracts';
import { z } from 'zod';
import { pageQuery, route } from '../http/route.js';

const TENANT = '/api/tenants/{tenant}';
const key = identity.commands.revokeApiKey.input.shape.keyId;

export const keyRoutes = [
  route({
    method: 'GET',
    path: `${TENANT}/keys`,
    summary: 'API keys, without their secrets',
    access: { plane: 'tenant', role: 'admin' },
    query: z.strictObject(pageQuery),
    answer: { status: 200, body: identity.queries.apiKeys.output },
    handle: (call) => call.ask(identity.queries.apiKeys, call.query),
  }),
  route({
    method: 'POST',
    path: `${TENANT}/keys`,
    summary: 'Make an API key; its secret is shown this once',
    access: { plane: 'tenant', role: 'admin' },
    body: identity.commands.createApiKey.input,
    answer: { status: 201, body: identity.commands.createApiKey.output },
    handle: (call) => call.ask(identity.commands.createApiKey, call.body),
  }),
  route({
    method: 'DELETE',
    path: `${TENANT}/keys/{key}`,
    summary: 'Revoke an API key, everywhere within a second',
    access: { plane: 'tenant', role: 'admin' },
    params: z.strictObject({ key }),
    answer: { status: 204 },
    handle: (call) => call.ask(identity.commands.revokeApiKey, { keyId: call.params.key }),
  }),
  route({
    method: 'GET',
    path: `${TENANT}/members`,
    summary: 'The people of the tenant and their roles',
    access: { plane: 'tenant', role: 'viewer' },
    query: z.strictObject(pageQuery),
    answer: { status: 200, body: identity.queries.members.output },
    handle: (call) => call.ask(identity.queries.members, call.query),
  }),
];
