import { Controller } from '@nestjs/common';
import { budgets, type InputOf, PLATFORM, type ResultOf, type TenantContext } from '@reef/contracts';
import { refuse, Views } from '@reef/eventing';
import { Command } from '@reef/messaging';
import { contracted, InjectLogger } from '@reef/service';
import type { Logger } from 'pino';
import { Books } from './books.js';
import { appliedTo, pressureOf } from './domain/bounds.js';
import { get } from './domain/dictionary.js';
import { reservedAtMs } from './domain/hold.js';
import { endingOf, type OpenBudget, otherTurnsOf } from './domain/open-budget.js';
import { rateStandings } from './domain/rates.js';
import { Leases } from './leases.js';
import { PlanCatalogue } from './plan-catalogue.js';
import { PriceList } from './price-list.js';
import { LedgerRow } from './projections/ledger.js';

const { commands } = budgets;

@Controller()
export class BudgetsCommands {
  constructor(
    private readonly books: Books,
    private readonly priceList: PriceList,
    private readonly plans: PlanCatalogue,
    private readonly leases: Leases,
    private readonly views: Views,
    @InjectLogger() private readonly logger: Logger,
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
    if (!mayNarrow(context)) return refuse('forbidden', 'limits are set by an owner or admin');
    const nowMs = Date.now();
    const command = { type: 'setLimits', data: { ...input, nowMs } } as const;
    return contracted(commands.setLimits, await this.books.spend(context, nowMs, command, () => ({})));
  }

  @Command(commands.setTimeZone)
  async setTimeZone(
    input: InputOf<typeof commands.setTimeZone>,
    context: TenantContext,
  ): Promise<ResultOf<typeof commands.setTimeZone>> {
    if (!mayNarrow(context)) return refuse('forbidden', 'the time zone is set by an owner or admin');
    const nowMs = Date.now();
    const command = { type: 'setTimeZone', data: { ...input, nowMs } } as const;
    return contracted(commands.setTimeZone, await this.books.spend(context, nowMs, command, () => ({})));
  }

  @Command(commands.assignPlan)
  async assignPlan(
    input: InputOf<typeof commands.assignPlan>,
    context: TenantContext,
  ): Promise<ResultOf<typeof commands.assignPlan>> {
    if (context.role !== 'operator') return refuse('forbidden', 'plans are assigned by an operator of the platform');
    const plan = await this.plans.planOf(input.plan);
    if (!plan) return refuse('plan_unknown', 'there is no such plan', { plan: input.plan });
    const nowMs = Date.now();
    const command = { type: 'assignPlan', data: { plan, nowMs } } as const;
    return contracted(commands.assignPlan, await this.books.spend(context, nowMs, command, () => ({})));
  }

  @Command(commands.topUp)
  async topUp(input: InputOf<typeof commands.topUp>, context: TenantContext): Promise<ResultOf<typeof commands.topUp>> {
    if (context.role !== 'operator') return refuse('forbidden', 'top-ups are booked by an operator of the platform');
    const nowMs = Date.now();
    const command = { type: 'topUp', data: { ...input, nowMs } } as const;
    const toppedUp = await this.books.spend(context, nowMs, command, topUpsOf);
    return contracted(commands.topUp, toppedUp);
  }

  @Command(commands.extend)
  async extend(
    input: InputOf<typeof commands.extend>,
    { tenant, principal }: TenantContext,
  ): Promise<ResultOf<typeof commands.extend>> {
    if (tenant !== PLATFORM || principal.kind !== 'service') {
      return refuse('forbidden', 'workers speak for themselves, under the platform');
    }
    await this.leases.heard(input);
    return { ok: true, value: {} };
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
    if (!granted.ok && granted.code === 'budget_exhausted') this.#noteExhausted(context, input, granted.details);
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

  @Command(commands.publishPlans)
  async publishPlans(
    input: InputOf<typeof commands.publishPlans>,
    context: TenantContext,
  ): Promise<ResultOf<typeof commands.publishPlans>> {
    if (context.tenant !== PLATFORM || context.role !== 'operator') {
      return refuse('forbidden', 'plans are published by an operator of the platform');
    }
    return contracted(commands.publishPlans, await this.plans.publish(context, input));
  }

  /** Tells, once, that a limit is used up. The refused caller does not wait for it, and a later refusal tells it if this one cannot. */
  #noteExhausted(
    context: TenantContext,
    { attribution }: InputOf<typeof commands.reserve>,
    details: Readonly<Record<string, unknown>> = {},
  ): void {
    const of = { ...context, commandId: `${context.commandId}:exhausted` };
    void this.books
      .noteExhausted(of, { name: String(details['name']), attribution, nowMs: Date.now() })
      .catch((error: unknown) =>
        this.logger.warn({ err: error, tenant: context.tenant }, 'a limit is used up, which could not be told'),
      );
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
    pressure: pressureOf(state, appliedTo(state, held.attribution, reservedAtMs(held))),
    rates: rateStandings(
      state.plan.plan.rates,
      state.recent,
      otherTurnsOf(state, held.attribution.turnId) + 1,
      reservedAtMs(held),
    ),
    weight: state.plan.plan.weight,
  };
}

const mayNarrow = ({ role }: TenantContext) => ['owner', 'admin', 'operator'].includes(role);

const topUpsOf = (state: OpenBudget) => ({
  topUps: state.topUps.map(({ unit, granted, used }) => ({ unit, granted, used })),
});

function chargeOf(state: OpenBudget, reservationId: string) {
  const ending = endingOf(state, reservationId);
  if (ending?.how !== 'charged') throw new Error('a reservation was settled that was not charged');
  return { costPico: ending.costPico, estimated: ending.estimated };
}
