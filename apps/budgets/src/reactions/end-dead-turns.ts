import { Controller } from '@nestjs/common';
import { dispatch, type TenantContext } from '@reef/contracts';
import { EventStore, Views } from '@reef/eventing';
import { type Delivered, Later, OnEvent } from '@reef/messaging';
import { Books } from '../books.js';
import { get } from '../domain/dictionary.js';
import { windowKeysAt } from '../domain/windows.js';
import { Leases } from '../leases.js';
import { LedgerRow } from '../projections/ledger.js';
import { booksOf, monthlyBooks } from '../streams.js';

const { TurnCompleted, TurnCancelled, TurnFailed } = dispatch.events;
type TurnEnded = Delivered<typeof TurnCompleted | typeof TurnCancelled | typeof TurnFailed>;

/** How long after a turn's end its own settlements may still come: dispatch sends one again every 2.5 s while it lives. */
const OWN_SETTLEMENT_MS = 10_000;

/**
 * A process that dies over a turn, or between the turn's end and its settlement, leaves holds that nobody ends. They are charged by
 * estimate, at once where the process is known to be dead and else when a living one would have settled. Until then the feed keeps
 * the event, so that a restart of this service forgets nothing.
 */
@Controller()
export class EndDeadTurns {
  constructor(
    private readonly books: Books,
    private readonly store: EventStore,
    private readonly views: Views,
    private readonly leases: Leases,
  ) {}

  @OnEvent(TurnCompleted)
  async onTurnCompleted(event: Delivered<typeof TurnCompleted>, context: TenantContext): Promise<void> {
    return this.#endHolds(event, context, OWN_SETTLEMENT_MS);
  }

  @OnEvent(TurnCancelled)
  async onTurnCancelled(event: Delivered<typeof TurnCancelled>, context: TenantContext): Promise<void> {
    return this.#endHolds(event, context, OWN_SETTLEMENT_MS);
  }

  @OnEvent(TurnFailed)
  async onTurnFailed(event: Delivered<typeof TurnFailed>, context: TenantContext): Promise<void> {
    return this.#endHolds(event, context, event.data.code === 'interrupted' ? 0 : OWN_SETTLEMENT_MS);
  }

  async #endHolds({ tenant, data, occurredAt }: TurnEnded, context: TenantContext, graceMs: number): Promise<void> {
    const { turnId } = data;
    if (!(await this.#mayHold(tenant, turnId))) return;
    if (Date.parse(occurredAt) + graceMs > Date.now()) throw new Later('the turn may yet settle for itself');
    const held = await this.views
      .of(tenant)
      .find(LedgerRow, { tenantId: tenant, status: 'held', attribution: { turnId } }, { fields: ['month'] });
    const outputTokensSeen = held.length > 0 ? await this.leases.seenOf(tenant) : {};
    for (const month of new Set(held.map((row) => row.month))) {
      const ended = await this.books.end(
        { ...context, commandId: `${context.commandId}:${month}` },
        month,
        { type: 'expire', data: { nowMs: Date.now(), withNext: false, turnId, deadWorkers: [], outputTokensSeen } },
        () => undefined,
      );
      if (!ended.ok) throw new Error(`the reservations of a dead turn could not be closed: ${ended.code}`);
    }
  }

  /** Asked of memory, not of the database: nearly every turn that ends holds nothing. */
  async #mayHold(tenant: string, turnId: string): Promise<boolean> {
    const { month } = windowKeysAt(Date.now());
    const { state } = await this.store.load(monthlyBooks, tenant, booksOf(month), { mayBeStale: true });
    // In a month that is young, the turn's holds may be those of the month before: the ledger knows.
    if (state.status !== 'open' || state.carriedHolds.size > 0) return true;
    return get(state.turns, turnId) !== undefined;
  }
}
