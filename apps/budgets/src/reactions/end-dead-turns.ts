import { Controller } from '@nestjs/common';
import { dispatch, type TenantContext } from '@reef/contracts';
import { Views } from '@reef/eventing';
import { type Delivered, OnEvent } from '@reef/messaging';
import { Books } from '../books.js';
import { LedgerRow } from '../projections/ledger.js';

type TurnFailed = typeof dispatch.events.TurnFailed;

/** A turn whose process died cannot settle what it reserved; its holds are charged by estimate and free the rest at once. */
@Controller()
export class EndDeadTurns {
  constructor(
    private readonly books: Books,
    private readonly views: Views,
  ) {}

  @OnEvent(dispatch.events.TurnFailed)
  async onTurnFailed({ tenant, data: { turnId, code } }: Delivered<TurnFailed>, context: TenantContext): Promise<void> {
    if (code !== 'interrupted') return; // Every other turn settles for itself.
    const held = await this.views
      .of(tenant)
      .find(LedgerRow, { tenantId: tenant, status: 'held', attribution: { turnId } }, { fields: ['month'] });
    for (const month of new Set(held.map((row) => row.month))) {
      const ended = await this.books.end(
        { ...context, commandId: `${context.commandId}:${month}` },
        month,
        { type: 'expire', data: { nowMs: Date.now(), withNext: false, turnId } },
        () => undefined,
      );
      if (!ended.ok) throw new Error(`the reservations of a dead turn could not be closed: ${ended.code}`);
    }
  }
}
