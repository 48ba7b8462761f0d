import { Controller, Inject } from '@nestjs/common';
import { budgets, type InputOf, PLATFORM, type ResultOf, type TenantContext } from '@reef/contracts';
import { decodeCursor, encodeCursor, EventStore, inTenants, refuse, Views } from '@reef/eventing';
import { Query } from '@reef/messaging';
import { DATABASE } from '@reef/service';
import type { Pool } from 'pg';
import { Books } from './books.js';
import { billOf } from './domain/invoice.js';
import { opened, type OpenBudget } from './domain/open-budget.js';
import { rateStandings } from './domain/rates.js';
import { standings, tenantPressure } from './domain/standing.js';
import { windowKeysAt } from './domain/windows.js';
import { PlanCatalogue } from './plan-catalogue.js';
import { PriceList } from './price-list.js';
import { LedgerRow } from './projections/ledger.js';
import { booksOf, monthlyBooks } from './streams.js';

const { queries } = budgets;

@Controller()
export class BudgetsQueries {
  constructor(
    private readonly books: Books,
    private readonly store: EventStore,
    private readonly priceList: PriceList,
    private readonly plans: PlanCatalogue,
    private readonly views: Views,
    @Inject(DATABASE) private readonly database: Pool,
  ) {}

  @Query(queries.balance)
  async balance(
    _input: InputOf<typeof queries.balance>,
    { tenant }: TenantContext,
  ): Promise<ResultOf<typeof queries.balance>> {
    const nowMs = Date.now();
    const books = await this.#booksNow(tenant, nowMs);
    const { plan, timeZone, topUps, recent } = books;
    return {
      ok: true,
      value: {
        plan: { plan: plan.plan.plan, name: plan.plan.name },
        timeZone,
        limits: standings(books, nowMs),
        topUps: topUps.map(({ unit, granted, used }) => ({ unit, granted, used })),
        rates: rateStandings(plan.plan.rates, recent, books.turns.size + books.carriedHolds.size, nowMs),
        pressure: tenantPressure(books, nowMs),
      },
    };
  }

  @Query(queries.limits)
  async limits(
    _input: InputOf<typeof queries.limits>,
    { tenant }: TenantContext,
  ): Promise<ResultOf<typeof queries.limits>> {
    const { limits, plan } = await this.#booksNow(tenant, Date.now());
    return { ok: true, value: { limits: [...limits], planLimits: plan.plan.limits } };
  }

  @Query(queries.asOf)
  async asOf({ at }: InputOf<typeof queries.asOf>, { tenant }: TenantContext): Promise<ResultOf<typeof queries.asOf>> {
    const atMs = Date.parse(at);
    const month = await this.books.newest(tenant, windowKeysAt(atMs).month, new Date(atMs));
    if (month === null) return { ok: true, value: { limits: [] } };
    const state = await this.store.asOf(monthlyBooks, tenant, booksOf(month), new Date(atMs));
    return { ok: true, value: { limits: state.status === 'open' ? standings(state, atMs) : [] } };
  }

  @Query(queries.ledger)
  async ledger(
    { limit, cursor }: InputOf<typeof queries.ledger>,
    { tenant }: TenantContext,
  ): Promise<ResultOf<typeof queries.ledger>> {
    const after = cursor === undefined ? null : afterOf(cursor);
    if (after === undefined) return refuse('invalid_input', 'this cursor is not ours');
    const older = after && {
      $or: [{ reservedAt: { $lt: after.at } }, { reservedAt: after.at, reservationId: { $lt: after.reservationId } }],
    };
    const found = await this.views
      .of(tenant)
      .find(
        LedgerRow,
        { tenantId: tenant, ...older },
        { orderBy: { reservedAt: 'desc', reservationId: 'desc' }, limit: limit + 1 },
      );
    const rows = found.slice(0, limit);
    const last = found.length > limit ? rows.at(-1) : undefined;
    const items = rows.map((row) => ({
      reservationId: row.reservationId,
      status: row.status,
      attribution: row.attribution,
      heldPico: BigInt(row.heldPico),
      costPico: row.costPico === null || row.costPico === undefined ? null : BigInt(row.costPico),
      usage: row.usage ?? null,
      estimated: row.estimated,
      reservedAt: row.reservedAt.toISOString(),
    }));
    const nextCursor = last ? encodeCursor([last.reservedAt.getTime(), last.reservationId]) : null;
    return { ok: true, value: { items, nextCursor } };
  }

  @Query(queries.prices)
  async prices(
    _input: InputOf<typeof queries.prices>,
    context: TenantContext,
  ): Promise<ResultOf<typeof queries.prices>> {
    if (context.tenant !== PLATFORM || context.role !== 'operator') {
      return refuse('forbidden', 'the price book is read by an operator of the platform');
    }
    return { ok: true, value: await this.priceList.current() };
  }

  @Query(queries.plans)
  async planList(
    _input: InputOf<typeof queries.plans>,
    context: TenantContext,
  ): Promise<ResultOf<typeof queries.plans>> {
    if (context.tenant !== PLATFORM || context.role !== 'operator') {
      return refuse('forbidden', 'the plans are read by an operator of the platform');
    }
    return { ok: true, value: { plans: [...(await this.plans.all()).values()] } };
  }

  @Query(queries.invoice)
  async invoice(
    { month }: InputOf<typeof queries.invoice>,
    { tenant }: TenantContext,
  ): Promise<ResultOf<typeof queries.invoice>> {
    const newest = (await this.books.newest(tenant, month)) ?? month;
    const { state } = await this.store.load(monthlyBooks, tenant, booksOf(newest));
    const usagePico = await inTenants(this.database, [tenant], async (client) => {
      const { rows } = await client.query<{ cost: string }>(
        'select coalesce(sum(cost_pico), 0)::text as cost from view.ledger where tenant_id = $1 and month = $2',
        [tenant, month],
      );
      return BigInt(rows[0]?.cost ?? 0);
    });
    return { ok: true, value: billOf(month, state.status === 'open' ? state.plan.plan : null, usagePico) };
  }

  /** A tenant without books has what it will be given with its first call. */
  async #booksNow(tenant: string, nowMs: number): Promise<OpenBudget> {
    const { month } = windowKeysAt(nowMs);
    const newest = (await this.books.newest(tenant, month)) ?? month;
    const { state } = await this.store.load(monthlyBooks, tenant, booksOf(newest));
    return state.status === 'open' ? state : opened(await this.books.opening(month, nowMs));
  }
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

function afterOf(cursor: string): { at: Date; reservationId: string } | undefined {
  const [atMs, reservationId, ...rest] = decodeCursor(cursor) ?? [];
  if (typeof atMs !== 'number' || !Number.isSafeInteger(atMs) || Math.abs(atMs) > 8.64e15 || rest.length > 0)
    return undefined;
  if (typeof reservationId !== 'string' || !UUID.test(reservationId)) return undefined;
  return { at: new Date(atMs), reservationId };
}
