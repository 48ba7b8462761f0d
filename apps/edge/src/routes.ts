import { z } from 'zod';
import { accountRoutes } from './api/accounts.js';
import { activityRoutes } from './api/activity.js';
import { agentRoutes, sessionRoutes } from './api/agents.js';
import { fileRoutes } from './api/files.js';
import { historyRoutes } from './api/history.js';
import { keyRoutes } from './api/keys.js';
import { memoryRoutes } from './api/memories.js';
import { operationsRoutes } from './api/operations.js';
import { planRoutes } from './api/plans.js';
import { platformRoutes } from './api/platform.js';
import { priceRoutes } from './api/prices.js';
import { platformCostRoutes, spendingRoutes } from './api/spending.js';
import { webhookRoutes } from './api/webhooks.js';
import { consolePage } from './console/console.js';
import { docsPage } from './http/docs.js';
import { openApi } from './http/openapi.js';
import type { Page } from './http/page.js';
import { type Call, ok, route, type Route, SENT } from './http/route.js';
import { openAiRoutes } from './v1/routes.js';

/** Made once, when first asked for. */
function once<Value>(make: () => Value): () => Value {
  let made: { value: Value } | null = null;
  return () => (made ??= { value: make() }).value;
}

const document = once(() => openApi(routes));
const docs = once(() => docsPage(routes));

async function show({ reply }: Call, { html, contentSecurityPolicy }: Page): Promise<typeof SENT> {
  await reply
    .headers({ 'content-type': 'text/html; charset=utf-8', 'content-security-policy': contentSecurityPolicy })
    .send(html);
  return SENT;
}

const pageRoutes = [
  route({
    method: 'GET',
    path: '/api/openapi.json',
    summary: 'This document',
    access: { plane: 'public' },
    answer: { status: 200, body: z.record(z.string(), z.unknown()) },
    handle: async () => ok(document()),
  }),
  route({
    method: 'GET',
    path: '/api/docs',
    summary: 'The reference for people',
    access: { plane: 'public' },
    answer: { status: 200, media: ['text/html'] },
    handle: (call) => show(call, docs()),
  }),
  route({
    method: 'GET',
    path: '/',
    summary: 'The console',
    access: { plane: 'public' },
    answer: { status: 200, media: ['text/html'] },
    handle: (call) => show(call, consolePage),
  }),
];

/** Every route there is. What listens, what is checked and what is documented comes from here. */
export const routes: readonly Route[] = [
  ...openAiRoutes,
  ...accountRoutes,
  ...agentRoutes,
  ...sessionRoutes,
  ...fileRoutes,
  ...memoryRoutes,
  ...spendingRoutes,
  ...webhookRoutes,
  ...historyRoutes,
  ...activityRoutes,
  ...keyRoutes,
  ...platformRoutes,
  ...planRoutes,
  ...platformCostRoutes,
  ...priceRoutes,
  ...operationsRoutes,
  ...pageRoutes,
];
