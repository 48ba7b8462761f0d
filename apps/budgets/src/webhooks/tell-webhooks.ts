import { Controller } from '@nestjs/common';
import { budgets, type TenantContext } from '@reef/contracts';
import { EventStore } from '@reef/eventing';
import { type Delivered, OnEvent } from '@reef/messaging';
import { InjectLogger } from '@reef/service';
import type { Logger } from 'pino';
import { Deliveries } from './deliveries.js';
import { thresholdMessage } from './messages.js';
import { WebhookSender } from './sender.js';
import { webhookEndpoints, WEBHOOKS } from './stream.js';

const { ThresholdCrossed } = budgets.events;

/**
 * The feed can be made anew and tells everything again. Deliveries are remembered for thirty days; what is older than this was told
 * long ago, or is news no more.
 */
const NEWS_FOR_MS = 3 * 86_400_000;

/** A limit has been used up to a part: the tenant's endpoints are told, each once. */
@Controller()
export class TellWebhooks {
  constructor(
    private readonly store: EventStore,
    private readonly deliveries: Deliveries,
    private readonly sender: WebhookSender,
    @InjectLogger() private readonly logger: Logger,
  ) {}

  @OnEvent(ThresholdCrossed)
  async on({ eventId, tenant, data, occurredAt }: Delivered<typeof ThresholdCrossed>, _context: TenantContext) {
    if (Date.parse(occurredAt) + NEWS_FOR_MS < Date.now()) return;
    const { state } = await this.store.load(webhookEndpoints, tenant, WEBHOOKS);
    if (state.size === 0) return;
    const dropped = await this.deliveries.add(tenant, [...state.keys()], thresholdMessage(eventId, tenant, data));
    if (dropped > 0) this.logger.warn({ tenant, endpoints: dropped }, 'endpoints are too far behind to be told more');
    this.sender.nudge();
  }
}
