import { Controller } from '@nestjs/common';
import { identity, type InputOf, type ResultOf, type TenantContext } from '@reef/contracts';
import { EventStore } from '@reef/eventing';
import { Command } from '@reef/messaging';
import { contracted } from '@reef/service';
import { streamOf, tenant } from './aggregates.js';
import { unlessOperator } from './permission.js';

const { suspendTenant, resumeTenant } = identity.commands;

@Controller()
export class TenantCommands {
  constructor(private readonly store: EventStore) {}

  @Command(suspendTenant)
  async suspendTenant(
    input: InputOf<typeof suspendTenant>,
    context: TenantContext,
  ): Promise<ResultOf<typeof suspendTenant>> {
    const forbidden = unlessOperator(context);
    if (forbidden) return forbidden;
    const result = await this.store.execute(tenant, {
      tenant: input.tenant,
      stream: streamOf.tenant(input.tenant),
      command: { type: 'suspend', data: { reason: input.reason } },
      context,
      reply: () => ({}),
    });
    return contracted(suspendTenant, result);
  }

  @Command(resumeTenant)
  async resumeTenant(
    input: InputOf<typeof resumeTenant>,
    context: TenantContext,
  ): Promise<ResultOf<typeof resumeTenant>> {
    const forbidden = unlessOperator(context);
    if (forbidden) return forbidden;
    const result = await this.store.execute(tenant, {
      tenant: input.tenant,
      stream: streamOf.tenant(input.tenant),
      command: { type: 'resume' },
      context,
      reply: () => ({}),
    });
    return contracted(resumeTenant, result);
  }
}
