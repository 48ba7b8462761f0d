import { createHash } from 'node:crypto';
import { Controller } from '@nestjs/common';
import { type InputOf, type Refusal, type ResultOf, type TenantContext, webhooks } from '@reef/contracts';
import { EventStore, refuse } from '@reef/eventing';
import { Command, newId, Query } from '@reef/messaging';
import { contracted, outboundUrl } from '@reef/service';
import { Deliveries } from './deliveries.js';
import { type EndpointCommand, type Endpoints, WEBHOOK_NOT_FOUND } from './endpoints.js';
import { testMessage } from './messages.js';
import { webhookPolicy } from './policy.js';
import { WebhookSender } from './sender.js';
import { newSecret } from './signing.js';
import { webhookEndpoints, WEBHOOKS } from './stream.js';

const { commands, queries } = webhooks;

@Controller()
export class WebhookRequests {
  readonly #policy = webhookPolicy();

  constructor(
    private readonly store: EventStore,
    private readonly deliveries: Deliveries,
    private readonly sender: WebhookSender,
  ) {}

  @Command(commands.setWebhook)
  async setWebhook(
    input: InputOf<typeof commands.setWebhook>,
    context: TenantContext,
  ): Promise<ResultOf<typeof commands.setWebhook>> {
    if (!mayTell(context)) return FORBIDDEN;
    const url = outboundUrl(input.url, this.#policy);
    if (!url) return refuse('url_refused', 'name a public https URL without credentials and fragment');
    const webhookId = newId();
    const data = { webhookId, url: url.href, secret: newSecret(), nowMs: Date.now() };
    const set = await this.#execute(context, { type: 'set', data }, (state) => {
      const { previous: _none, ...endpoint } = endpointOf(state, webhookId);
      return endpoint;
    });
    return contracted(commands.setWebhook, set);
  }

  @Command(commands.removeWebhook)
  async removeWebhook(
    { webhookId }: InputOf<typeof commands.removeWebhook>,
    context: TenantContext,
  ): Promise<ResultOf<typeof commands.removeWebhook>> {
    if (!mayTell(context)) return FORBIDDEN;
    const data = { webhookId, nowMs: Date.now() };
    const removed = await this.#execute(context, { type: 'remove', data }, () => ({}));
    if (removed.ok) await this.deliveries.forgetEndpoint(context.tenant, webhookId);
    return contracted(commands.removeWebhook, removed);
  }

  @Command(commands.rotateWebhookSecret)
  async rotateWebhookSecret(
    { webhookId }: InputOf<typeof commands.rotateWebhookSecret>,
    context: TenantContext,
  ): Promise<ResultOf<typeof commands.rotateWebhookSecret>> {
    if (!mayTell(context)) return FORBIDDEN;
    const data = { webhookId, secret: newSecret(), nowMs: Date.now() };
    const rotated = await this.#execute(context, { type: 'rotate', data }, (state) => ({
      secret: endpointOf(state, webhookId).secret,
    }));
    return contracted(commands.rotateWebhookSecret, rotated);
  }

  @Command(commands.testWebhook)
  async testWebhook(
    { webhookId }: InputOf<typeof commands.testWebhook>,
    context: TenantContext,
  ): Promise<ResultOf<typeof commands.testWebhook>> {
    if (!mayTell(context)) return FORBIDDEN;
    const { tenant, commandId } = context;
    const { state } = await this.store.load(webhookEndpoints, tenant, WEBHOOKS);
    if (!state.has(webhookId)) return WEBHOOK_NOT_FOUND;
    // A command that is repeated is one message.
    const id = createHash('sha256').update(commandId).digest('base64url').slice(0, 22);
    const message = testMessage(id, tenant, webhookId, Date.now());
    if ((await this.deliveries.add(tenant, [webhookId], message)) > 0)
      return refuse('overloaded', 'too many messages wait for this endpoint');
    this.sender.nudge();
    return { ok: true, value: { messageId: message.messageId } };
  }

  @Query(queries.webhooks)
  async webhooks(
    _input: InputOf<typeof queries.webhooks>,
    context: TenantContext,
  ): Promise<ResultOf<typeof queries.webhooks>> {
    if (!mayTell(context)) return FORBIDDEN;
    const { state } = await this.store.load(webhookEndpoints, context.tenant, WEBHOOKS);
    const last = state.size > 0 ? await this.deliveries.lastOf(context.tenant) : new Map<string, never>();
    const items = [...state.values()].map(({ webhookId, url, createdAt }) => ({
      webhookId,
      url,
      createdAt,
      lastDelivery: last.get(webhookId) ?? null,
    }));
    return { ok: true, value: { items } };
  }

  /** What may hold a secret is kept sealed, for a command that is repeated. */
  #execute<Value>(context: TenantContext, command: EndpointCommand, reply: (state: Endpoints) => Value) {
    return this.store.execute(webhookEndpoints, {
      tenant: context.tenant,
      stream: WEBHOOKS,
      command,
      context,
      sealReply: true,
      reply,
    });
  }
}

const FORBIDDEN: Refusal<'forbidden'> = refuse('forbidden', 'webhooks are a matter of owners and admins');
const mayTell = ({ role }: TenantContext) => role === 'owner' || role === 'admin';

function endpointOf(state: Endpoints, webhookId: string) {
  const endpoint = state.get(webhookId);
  if (!endpoint) throw new Error('a webhook was set that is not there');
  return endpoint;
}
