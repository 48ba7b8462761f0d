import { webhooks } from '@reef/contracts';
import { z } from 'zod';
import { route } from '../http/route.js';

const WEBHOOKS = '/api/tenants/{tenant}/webhooks';
const { commands, queries } = webhooks;
const params = z.strictObject({ webhook: commands.removeWebhook.input.shape.webhookId });
const admin = { plane: 'tenant', role: 'admin' } as const;

export const webhookRoutes = [
  route({
    method: 'GET',
    path: WEBHOOKS,
    summary: 'Who is told of the budget, without their secrets, and how the last message to each went',
    access: admin,
    answer: { status: 200, body: queries.webhooks.output },
    handle: (call) => call.ask(queries.webhooks, {}),
  }),
  route({
    method: 'POST',
    path: WEBHOOKS,
    summary:
      'Have a public https URL told when limits are used up to 50, 80, 90 and 100 %; the secret is shown this once',
    access: admin,
    body: commands.setWebhook.input,
    answer: { status: 201, body: commands.setWebhook.output },
    handle: (call) => call.ask(commands.setWebhook, call.body),
  }),
  route({
    method: 'DELETE',
    path: `${WEBHOOKS}/{webhook}`,
    summary: 'Tell this URL nothing more',
    access: admin,
    params,
    answer: { status: 204 },
    handle: (call) => call.ask(commands.removeWebhook, { webhookId: call.params.webhook }),
  }),
  route({
    method: 'POST',
    path: `${WEBHOOKS}/{webhook}/secret`,
    summary: 'Replace the secret; for a day messages are signed with the old one too',
    access: admin,
    params,
    answer: { status: 201, body: commands.rotateWebhookSecret.output },
    handle: (call) => call.ask(commands.rotateWebhookSecret, { webhookId: call.params.webhook }),
  }),
  route({
    method: 'POST',
    path: `${WEBHOOKS}/{webhook}/test`,
    summary: 'Send a test message, once; how it went is the last delivery of the webhook',
    access: admin,
    params,
    answer: { status: 201, body: commands.testWebhook.output },
    handle: (call) => call.ask(commands.testWebhook, { webhookId: call.params.webhook }),
  }),
];
