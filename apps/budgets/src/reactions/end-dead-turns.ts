import { Controller } from '@nestjs/common';
import { dispatch, type TenantContext } from '@reef/contracts';
import { Views } from '@reef/eventing';
import { type Delivered, OnEvent } from '@reef/messaging';
import { Books } from '../books.js';
import { LostHolds } from '../lost-holds.js';
import { LedgerRow } from '../projections/ledger.js';

type TurnFailed = typeof dispatch.events.TurnFailed;
type TurnCompleted = typeof dispatch.events.TurnCompleted;
type TurnCancelled = typeof dispatch.events.TurnCancelled;

/** A turn whose process died cannot settle what it reserved; its holds are charged by estimate and free the rest at once. */
@Controller()
export class EndDeadTurns {
  constructor(
    private readonly books: Books,
    private readonly lostHolds: LostHolds,
    private readonly views: Views,
  ) {}

  @OnEvent(dispatch.events.TurnCompleted)
  async onTurnCompleted({ tenant, data }: Delivered<TurnCompleted>, _context: TenantContext): Promise<void> {
    return this.lostHolds.afterTurn(tenant, data.turnId);
  }

  @OnEvent(dispatch.events.TurnCancelled)
  async onTurnCancelled({ tenant, data }: Delivered<TurnCancelled>, _context: TenantContext): Promise<void> {
    return this.lostHolds.afterTurn(tenant, data.turnId);
  }

  @OnEvent(dispatch.events.TurnFailed)
  async onTurnFailed({ tenant, data: { turnId, code } }: Delivered<TurnFailed>, context: TenantContext): Promise<void> {
    // Every other turn settles for itself, unless its process dies over it.
    if (code !== 'interrupted') return this.lostHolds.afterTurn(tenant, turnId);
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
