import type { EventOf, RefusalOf, webhooks } from '@reef/contracts';
import { type Decider, refuse, unreachable } from '@reef/eventing/pure';

export const WEBHOOKS_MAX = 10;
/** How long messages are signed with a secret that was replaced, ms: the time to put the new one everywhere. */
export const PREVIOUS_SECRET_MS = 24 * 3_600_000;

export type EndpointEvent = EventOf<typeof webhooks>;

export interface Endpoint {
  readonly webhookId: string;
  readonly url: string;
  readonly secret: string;
  readonly previous: { readonly secret: string; readonly untilMs: number } | null;
  readonly createdAt: string;
}

/** A tenant's endpoints, oldest first. */
export type Endpoints = ReadonlyMap<string, Endpoint>;

export type EndpointCommand =
  | {
      readonly type: 'set';
      readonly data: {
        readonly webhookId: string;
        readonly url: string;
        readonly secret: string;
        readonly nowMs: number;
      };
    }
  | { readonly type: 'remove'; readonly data: { readonly webhookId: string; readonly nowMs: number } }
  | {
      readonly type: 'rotate';
      readonly data: { readonly webhookId: string; readonly secret: string; readonly nowMs: number };
    };

type EndpointRefusal = RefusalOf<
  | typeof webhooks.commands.setWebhook
  | typeof webhooks.commands.removeWebhook
  | typeof webhooks.commands.rotateWebhookSecret
>;

export const WEBHOOK_NOT_FOUND = refuse('webhook_not_found', 'there is no such webhook');

export const endpoints: Decider<Endpoints, EndpointCommand, EndpointEvent, EndpointRefusal> = {
  initial: new Map(),

  decide(command, state) {
    const at = new Date(command.data.nowMs).toISOString();
    switch (command.type) {
      case 'set': {
        const { webhookId, url, secret } = command.data;
        if ([...state.values()].some((known) => known.url === url))
          return refuse('webhook_taken', 'this URL is told already');
        if (state.size >= WEBHOOKS_MAX)
          return refuse('too_many_webhooks', `there may be ${WEBHOOKS_MAX} webhooks`, { webhooksMax: WEBHOOKS_MAX });
        return [{ type: 'WebhookSet', data: { webhookId, url, secret, setAt: at } }];
      }
      case 'remove': {
        const { webhookId } = command.data;
        if (!state.has(webhookId)) return WEBHOOK_NOT_FOUND;
        return [{ type: 'WebhookRemoved', data: { webhookId, removedAt: at } }];
      }
      case 'rotate': {
        const { webhookId, secret, nowMs } = command.data;
        if (!state.has(webhookId)) return WEBHOOK_NOT_FOUND;
        const previousUntil = new Date(nowMs + PREVIOUS_SECRET_MS).toISOString();
        return [{ type: 'WebhookSecretRotated', data: { webhookId, secret, previousUntil, rotatedAt: at } }];
      }
      default:
        return unreachable(command);
    }
  },

  evolve(state, event) {
    const next = new Map(state);
    switch (event.type) {
      case 'WebhookSet': {
        const { webhookId, url, secret, setAt } = event.data;
        return next.set(webhookId, { webhookId, url, secret, previous: null, createdAt: setAt });
      }
      case 'WebhookRemoved':
        next.delete(event.data.webhookId);
        return next;
      case 'WebhookSecretRotated': {
        const { webhookId, secret, previousUntil } = event.data;
        const known = state.get(webhookId);
        if (!known) return state;
        return next.set(webhookId, {
          ...known,
          secret,
          previous: { secret: known.secret, untilMs: Date.parse(previousUntil) },
        });
      }
      default:
        return unreachable(event);
    }
  },
};

/** The secrets that an endpoint may check a message with at an instant, the newest first. */
export function secretsOf({ secret, previous }: Endpoint, atMs: number): string[] {
  return previous && atMs < previous.untilMs ? [secret, previous.secret] : [secret];
}
