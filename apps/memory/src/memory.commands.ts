import { Controller, Inject } from '@nestjs/common';
import type { NatsConnection } from '@nats-io/transport-node';
import { type InputOf, memory, memoryChanged, type ResultOf, type TenantContext } from '@reef/contracts';
import { EventStore, Views } from '@reef/eventing';
import { Command, newId } from '@reef/messaging';
import { NATS } from '@reef/service';
import { EMPTY_STREAM, memories, streamOf, textHashOf } from './aggregates.js';
import { remembered } from './domain/memories.js';
import { unlessMayChange } from './permission.js';
import { MemoryRow } from './projections/memories.js';

const { remember, forget } = memory.commands;

@Controller()
export class MemoryCommands {
  constructor(
    private readonly store: EventStore,
    private readonly views: Views,
    @Inject(NATS) private readonly nats: NatsConnection,
  ) {}

  /** A text that is remembered already stays one memory, and is the answer. */
  @Command(remember)
  async remember(input: InputOf<typeof remember>, context: TenantContext): Promise<ResultOf<typeof remember>> {
    const forbidden = unlessMayChange(context);
    if (forbidden) return forbidden;
    const { agent, user, text } = input;
    const fresh = { memoryId: newId(), textHash: textHashOf(text), rememberedAt: new Date().toISOString() };
    const result = await this.store.execute(memories, {
      tenant: context.tenant,
      stream: streamOf(agent, user),
      command: { type: 'remember', data: { ...input, ...fresh } },
      context,
      sealReply: true,
      reply: (state) => {
        const { memoryId, rememberedAt } = remembered(state, fresh.textHash) ?? fresh;
        return { memoryId, agent, user, text, rememberedAt };
      },
    });
    if (result.ok) this.#tellChanged(context.tenant);
    return result as ResultOf<typeof remember>;
  }

  @Command(forget)
  async forget(input: InputOf<typeof forget>, context: TenantContext): Promise<ResultOf<typeof forget>> {
    const forbidden = unlessMayChange(context);
    if (forbidden) return forbidden;
    const { tenant } = context;
    const { memoryId } = input;
    // The row tells the stream; it was written with the event, so a memory that exists has one. Without a row the empty
    // stream decides, because a command that is sent again is answered as the first time, when the row was still there.
    const row = await this.views.of(tenant).findOne(MemoryRow, { tenantId: tenant, memoryId });
    const result = await this.store.execute(memories, {
      tenant,
      stream: row ? streamOf(row.agent, row.endUser ?? null) : EMPTY_STREAM,
      command: { type: 'forget', data: { memoryId, forgottenAt: new Date().toISOString() } },
      context,
      reply: () => ({}),
    });
    if (result.ok) this.#tellChanged(tenant);
    return result as ResultOf<typeof forget>;
  }

  /** Goes out on the connection before the reply does, so whoever waits for the reply finds no stale answer after it. */
  #tellChanged(tenant: string): void {
    this.nats.publish(memoryChanged.subject(tenant));
  }
}
