import { Controller } from '@nestjs/common';
import { budgets, type InputOf, PLATFORM, type ResultOf, type TenantContext } from '@reef/contracts';
import { decodeCursor, encodeCursor, EventStore, refuse, Views } from '@reef/eventing';
import { Query } from '@reef/messaging';
import { Books } from './books.js';
import type { Budget } from './domain/budget.js';
import { dictionary } from './domain/dictionary.js';
import { DEFAULT_LIMITS } from './domain/limits.js';
import { type Standing, standings, tenantPressure } from './domain/standing.js';
import { windowKeysAt } from './domain/windows.js';
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
    private readonly views: Views,
  ) {}

  @Query(queries.balance)
  async balance(
    _input: InputOf<typeof queries.balance>,
    { tenant }: TenantContext,
  ): Promise<ResultOf<typeof queries.balance>> {
    const nowMs = Date.now();
    const month = (await this.books.newest(tenant, windowKeysAt(nowMs).month)) ?? windowKeysAt(nowMs).month;
    const { state } = await this.store.load(monthlyBooks, tenant, booksOf(month));
    const limits = standingsOf(state, nowMs);
    return { ok: true, value: { limits, pressure: tenantPressure(limits) } };
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
    const { priceVersion, prices } = await this.priceList.current();
    return { ok: true, value: { priceVersion, prices: [...prices.values()].map(({ price }) => price) } };
  }
}

/** A tenant without books has the limits it will be given with its first call. */
function standingsOf(state: Budget, nowMs: number): Standing[] {
  return standings(state.status === 'open' ? state : { limits: DEFAULT_LIMITS, counters: dictionary() }, nowMs);
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

function afterOf(cursor: string): { at: Date; reservationId: string } | undefined {
  const [atMs, reservationId, ...rest] = decodeCursor(cursor) ?? [];
  if (typeof atMs !== 'number' || !Number.isSafeInteger(atMs) || Math.abs(atMs) > 8.64e15 || rest.length > 0)
    return undefined;
  if (typeof reservationId !== 'string' || !UUID.test(reservationId)) return undefined;
  return { at: new Date(atMs), reservationId };
}
