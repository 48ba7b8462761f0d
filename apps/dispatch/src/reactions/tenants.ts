import { Controller } from '@nestjs/common';
import { identity, type TenantContext } from '@reef/contracts';
import { EventStore } from '@reef/eventing';
import { type Delivered, OnEvent } from '@reef/messaging';
import { agentAggregate, agentStream } from '../aggregates.js';
import { DEFAULT_AGENT } from '../domain/agent.js';
import { newProfile } from '../new-profile.js';

/** A new tenant gets its default agent even when the request that signed it up did not live to ask for it. */
@Controller()
export class TenantReactions {
  constructor(private readonly store: EventStore) {}

  @OnEvent(identity.events.TenantCreated)
  async onTenantCreated(event: Delivered<typeof identity.events.TenantCreated>, context: TenantContext): Promise<void> {
    const result = await this.store.execute(agentAggregate, {
      tenant: event.tenant,
      stream: agentStream(DEFAULT_AGENT),
      command: { type: 'open', data: newProfile({ agent: DEFAULT_AGENT }) },
      context,
    });
    if (!result.ok) throw new Error(`the default agent could not be made: ${result.code}`);
  }
}
