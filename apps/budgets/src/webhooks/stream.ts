import { webhooks } from '@reef/contracts';
import { aggregate } from '@reef/eventing';
import { endpoints } from './endpoints.js';

/** A tenant's webhooks. Without projections and snapshots: URLs and secrets are kept in the events alone, where they are sealed. */
export const webhookEndpoints = aggregate({
  name: 'webhooks',
  decider: endpoints,
  events: webhooks.events,
  projections: [],
});

export const WEBHOOKS = 'webhooks/endpoints';
