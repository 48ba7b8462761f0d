import { Controller } from '@nestjs/common';
import { budgets, type InputOf, PLATFORM, type ResultOf, type TenantContext } from '@reef/contracts';
import { refuse, Views } from '@reef/eventing';
import { Command } from '@reef/messaging';
import { Books } from './books.js';
import { contracted } from './contracted.js';
import { endingOf, type OpenBudget } from './domain/budget.js';
import { get } from './domain/dictionary.js';
import { pressureFor } from './domain/grant.js';
import { PriceList } from './price-list.js';
import { LedgerRow } from './projections/ledger.js';

const { commands } = budgets;

@Controller()
export class BudgetsCommands {
  constructor(
    private readonly books: Books,
    private readonly priceList: PriceList,
    private readonly views: Views,
  ) {}

  @Command(commands.openTenant)
  async openTenant(
    _input: InputOf<typeof commands.openTenant>,
    context: TenantContext,
  ): Promise<ResultOf<typeof commands.openTenant>> {
    const opening = await this.books.openNow(context);
    return contracted(commands.openTenant, opening.ok ? { ok: true, value: {} } : opening);
  }

  @Command(commands.setLimits)
  async setLimits(
    input: InputOf<typeof commands.setLimits>,
    context: TenantContext,
  ): Promise<ResultOf<typeof commands.setLimits>> {
    if (!['owner', 'admin', 'operator'].includes(context.role)) {
      return refuse('forbidden', 'limits are set by an owner or admin');
    }
    const nowMs = Date.now();
    const command = { type: 'setLimits', data: { ...input, nowMs } } as const;
    return contracted(commands.setLimits, await this.books.spend(context, nowMs, command, () => ({})));
  }

  @Command(commands.reserve)
  async reserve(
    input: InputOf<typeof commands.reserve>,
    context: TenantContext,
  ): Promise<ResultOf<typeof commands.reserve>> {
    const { model } = input.attribution;
    const known = await this.priceList.priceOf(model);
    if (!known) {
      return refuse(
        'unpriced_model',
        `${model} has no price; an operator can publish one with PUT /api/platform/prices`,
        {
          model,
        },
      );
    }
    const nowMs = Date.now();
    const command = { type: 'reserve', data: { ...input, ...known, nowMs } } as const;
    const granted = await this.books.spend(context, nowMs, command, (state) => grantOf(state, input.reservationId));
    return contracted(commands.reserve, granted);
  }

  @Command(commands.settle)
  async settle(
    input: InputOf<typeof commands.settle>,
    context: TenantContext,
  ): Promise<ResultOf<typeof commands.settle>> {
    const command = { type: 'settle', data: { ...input, nowMs: Date.now(), withNext: false } } as const;
    const settled = await this.books.end(context, input.window, command, (state) =>
      chargeOf(state, input.reservationId),
    );
    if (settled.ok || !isUnknown(settled.code)) return contracted(commands.settle, settled);
    const row = await this.#ledgerRow(context.tenant, input);
    if (row?.costPico) return { ok: true, value: { costPico: BigInt(row.costPico), estimated: row.estimated } };
    return refuse('reservation_unknown', 'there is no such reservation to settle');
  }

  @Command(commands.release)
  async release(
    input: InputOf<typeof commands.release>,
    context: TenantContext,
  ): Promise<ResultOf<typeof commands.release>> {
    const command = { type: 'release', data: { ...input, nowMs: Date.now(), withNext: false } } as const;
    const released = await this.books.end(context, input.window, command, () => ({}));
    if (released.ok || !isUnknown(released.code)) return contracted(commands.release, released);
    const row = await this.#ledgerRow(context.tenant, input);
    if (row?.status === 'released') return { ok: true, value: {} };
    if (row) return refuse('already_settled', 'this reservation was charged already');
    return refuse('reservation_unknown', 'there is no such reservation to release');
  }

  @Command(commands.publishPrices)
  async publishPrices(
    input: InputOf<typeof commands.publishPrices>,
    context: TenantContext,
  ): Promise<ResultOf<typeof commands.publishPrices>> {
    if (context.tenant !== PLATFORM || context.role !== 'operator') {
      return refuse('forbidden', 'prices are published by an operator of the platform');
    }
    const data = { ...input, source: 'operator', nowMs: Date.now() } as const;
    return contracted(commands.publishPrices, await this.priceList.publish(context, data));
  }

  /** The books remember the newest endings only; a retry that comes later is answered from the ledger. */
  async #ledgerRow(tenant: string, { window, reservationId }: { window: string; reservationId: string }) {
    return this.views.of(tenant).findOne(LedgerRow, { tenantId: tenant, month: window, reservationId });
  }
}

const isUnknown = (code: string) => code === 'reservation_unknown' || code === 'window_unopened';

function grantOf(state: OpenBudget, reservationId: string) {
  const held = get(state.holds, reservationId);
  if (!held) throw new Error('a reservation was granted that is not held');
  return {
    outputTokensMax: held.outputTokensMax,
    heldPico: held.heldPico,
    window: state.window,
    pressure: pressureFor(state, held.attribution, Date.parse(held.reservedAt)),
  };
}

function chargeOf(state: OpenBudget, reservationId: string) {
  const ending = endingOf(state, reservationId);
  if (ending?.how !== 'charged') throw new Error('a reservation was settled that was not charged');
  return { costPico: ending.costPico, estimated: ending.estimated };
}
