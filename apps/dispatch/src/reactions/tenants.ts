import { Controller } from '@nestjs/common';
import { identity, type TenantContext } from '@reef/contracts';
import { type Delivered, OnEvent } from '@reef/messaging';
import { AgentCommands } from '../agents.commands.js';

/** A new tenant gets its default agent even when the request that signed it up did not live to ask for it. */
@Controller()
export class TenantReactions {
  constructor(private readonly agents: AgentCommands) {}

  @OnEvent(identity.events.TenantCreated)
  async onTenantCreated(
    _event: Delivered<typeof identity.events.TenantCreated>,
    context: TenantContext,
  ): Promise<void> {
    const result = await this.agents.openTenant({}, context);
    if (!result.ok) throw new Error(`the default agent could not be made: ${result.code}`);
  }
}
