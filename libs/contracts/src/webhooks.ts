import { z } from 'zod';
import { command, event, query, service } from './declare.js';
import { count, emptyObject, instant, personal, uuid } from './values.js';

/** What a tenant's endpoint is told: a limit used up to a part, or that it can be reached. */
export const webhookMessageType = z.enum(['budget.threshold', 'webhook.test']);

const webhookUrl = z.string().min(1).max(2_000);

export const webhookDelivery = z.object({
  /** The same at every attempt: the header `webhook-id`. */
  messageId: z.string(),
  type: webhookMessageType,
  status: z.enum(['waiting', 'delivered', 'failed']),
  attempts: count,
  /** Of the last attempt that was answered. */
  httpStatus: count.nullable(),
  /** Why the last attempt had no answer. */
  failure: z.string().nullable(),
  createdAt: instant,
  /** Null where there will be none. */
  nextAttemptAt: instant.nullable(),
});

export const webhookView = z.object({
  webhookId: uuid,
  url: z.string(),
  createdAt: instant,
  lastDelivery: webhookDelivery.nullable(),
});

/** Standard Webhooks (https://www.standardwebhooks.com): `whsec_` and the key in base64. */
const secret = z.string();
const named = z.strictObject({ webhookId: uuid });

/** Who is told of a tenant's budget. Decided by the service budgets, beside its books. */
export const webhooks = service('budgets', {
  commands: {
    /** By an owner or admin: one more endpoint. Its secret is in this answer and in no other. */
    setWebhook: command({
      input: z.strictObject({ url: webhookUrl }),
      output: z.object({ webhookId: uuid, url: z.string(), secret, createdAt: instant }),
      refusals: ['url_refused', 'webhook_taken', 'too_many_webhooks'],
    }),
    removeWebhook: command({ input: named, output: emptyObject, refusals: ['webhook_not_found'] }),
    /** A new secret. For a day messages are signed with the old one too. */
    rotateWebhookSecret: command({ input: named, output: z.object({ secret }), refusals: ['webhook_not_found'] }),
    /** Sends a message without meaning, once; what became of it is the endpoint's last delivery. */
    testWebhook: command({
      input: named,
      output: z.object({ messageId: z.string() }),
      refusals: ['webhook_not_found'],
    }),
  },
  queries: {
    webhooks: query({ input: emptyObject, output: z.object({ items: z.array(webhookView) }) }),
  },
  events: {
    WebhookSet: event(
      z.object({ webhookId: uuid, url: personal(webhookUrl), secret: personal(secret), setAt: instant }),
    ),
    WebhookRemoved: event(z.object({ webhookId: uuid, removedAt: instant })),
    WebhookSecretRotated: event(
      z.object({ webhookId: uuid, secret: personal(secret), previousUntil: instant, rotatedAt: instant }),
    ),
  },
});
