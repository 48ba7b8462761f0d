import { Controller, Inject, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import type { NatsConnection, Subscription } from '@nats-io/transport-node';
import { dispatch, type InputOf, type ResultOf, type TenantContext } from '@reef/contracts';
import { EventStore, Views } from '@reef/eventing';
import { refuse } from '@reef/eventing/pure';
import { Command } from '@reef/messaging';
import { NATS } from '@reef/service';
import { sessionAggregate, sessionStream } from './aggregates.js';
import { TurnRow } from './projections/turns.js';
import { Turns } from './turns/turns.js';

const { startTurn, cancelTurn } = dispatch.commands;

/** Core NATS, not stored: whichever instance runs this turn stops it. */
const cancelled = {
  subject: (tenant: string, turnId: string) => `tenant.${tenant}.dispatch.live.cancelled.${turnId}`,
  pattern: 'tenant.*.dispatch.live.cancelled.*',
};

@Controller()
export class TurnCommands implements OnModuleInit, OnModuleDestroy {
  #subscription: Subscription | null = null;

  constructor(
    private readonly turns: Turns,
    private readonly store: EventStore,
    private readonly views: Views,
    @Inject(NATS) private readonly nats: NatsConnection,
  ) {}

  onModuleInit(): void {
    this.#subscription = this.nats.subscribe(cancelled.pattern, {
      callback: (_error, { subject }) => this.turns.abort(subject.split('.').at(-1) ?? ''),
    });
  }

  onModuleDestroy(): void {
    this.#subscription?.unsubscribe();
  }

  @Command(startTurn)
  async startTurn(input: InputOf<typeof startTurn>, context: TenantContext): Promise<ResultOf<typeof startTurn>> {
    if (context.role === 'viewer') return refuse('forbidden', 'a viewer may not talk with agents');
    return this.turns.start(input, context);
  }

  @Command(cancelTurn)
  async cancelTurn(input: InputOf<typeof cancelTurn>, context: TenantContext): Promise<ResultOf<typeof cancelTurn>> {
    const { tenant } = context;
    const row = await this.views
      .of(tenant)
      .findOne(TurnRow, { tenantId: tenant, turnId: input.turnId }, { fields: ['session'] });
    if (!row) return refuse('turn_not_found', 'there is no such turn');
    const result = await this.store.execute(sessionAggregate, {
      tenant,
      stream: sessionStream(row.session),
      command: { type: 'cancelTurn', data: { turnId: input.turnId, cancelledAt: new Date().toISOString() } },
      context,
      reply: (state) => ({ status: state.turns.get(input.turnId)?.status ?? ('completed' as const) }),
    });
    if (result.ok && result.value.status === 'cancelled') this.nats.publish(cancelled.subject(tenant, input.turnId));
    return result as ResultOf<typeof cancelTurn>;
  }
}
