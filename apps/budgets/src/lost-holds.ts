import { Injectable } from '@nestjs/common';
import { EventStore } from '@reef/eventing';
import { Periodic, serviceContext } from '@reef/service';
import { Books } from './books.js';
import { entriesOf } from './domain/dictionary.js';
import { windowKeysAt } from './domain/windows.js';
import { booksOf, monthlyBooks } from './streams.js';

/** How long after a turn's end its own settlements may still come: dispatch sends one again every 2.5 s while it lives. */
const OWN_SETTLEMENT_MS = 10_000;
const LOOK_EVERY_MS = 1_000;
/** Ended turns that still hold something, as one process remembers them; beyond that, holds end at their expiry. */
const REMEMBERED_MAX = 10_000;

interface EndedTurn {
  readonly tenant: string;
  readonly turnId: string;
  readonly month: string;
  readonly dueMs: number;
}

/**
 * A process that dies between a turn's end and its settlement leaves holds that nobody ends. Some seconds after the turn they are
 * charged by estimate, instead of at their expiry. What a turn still holds is asked of memory, not of the database: nearly always
 * it is nothing.
 */
@Injectable()
export class LostHolds {
  readonly #ended: EndedTurn[] = [];

  constructor(
    private readonly store: EventStore,
    private readonly books: Books,
    periodic: Periodic,
  ) {
    periodic.every(LOOK_EVERY_MS, 'end what ended turns still hold', () => this.#look());
  }

  async afterTurn(tenant: string, turnId: string): Promise<void> {
    const nowMs = Date.now();
    const { month } = windowKeysAt(nowMs);
    if (this.#ended.length >= REMEMBERED_MAX || !(await this.#isHeld(tenant, turnId, month))) return;
    this.#ended.push({ tenant, turnId, month, dueMs: nowMs + OWN_SETTLEMENT_MS });
  }

  async #look(): Promise<void> {
    for (let turn = this.#ended[0]; turn && turn.dueMs <= Date.now(); turn = this.#ended[0]) {
      const { tenant, turnId, month } = turn;
      if (await this.#isHeld(tenant, turnId, month)) {
        const data = { nowMs: Date.now(), withNext: false, turnId };
        await this.books.end(serviceContext(tenant, 'budgets'), month, { type: 'expire', data }, () => undefined);
      }
      this.#ended.shift();
    }
  }

  async #isHeld(tenant: string, turnId: string, month: string): Promise<boolean> {
    const { state } = await this.store.load(monthlyBooks, tenant, booksOf(month), { mayBeStale: true });
    if (state.status !== 'open' || state.holds.size === 0) return false;
    return entriesOf(state.holds).some(([, held]) => held.attribution.turnId === turnId);
  }
}
