import { Injectable } from '@nestjs/common';
import type { Refusal, Result, TenantContext } from '@reef/contracts';
import { EventStore, isRefusal, refuse, Views } from '@reef/eventing';
import { type Budget, budget, type BudgetCommand, type BudgetEvent, FRESH, freedBy } from './domain/budget.js';
import type { Opening } from './domain/carry.js';
import type { OpenBudget } from './domain/open-budget.js';
import { windowKeysAt } from './domain/windows.js';
import { PlanCatalogue } from './plan-catalogue.js';
import { MonthRow } from './projections/months.js';
import { booksOf, monthlyBooks } from './streams.js';

type Spending = Extract<
  BudgetCommand,
  { type: 'reserve' | 'setLimits' | 'setTimeZone' | 'assignPlan' | 'topUp' | 'noteExhausted' }
>;
type NotingExhausted = Extract<BudgetCommand, { type: 'noteExhausted' }>;
type WindowOpened = Extract<BudgetEvent, { type: 'WindowOpened' }>['data'];
type Ending = Extract<BudgetCommand, { type: 'settle' | 'release' | 'expire' }>;
type Reply<Value> = (state: OpenBudget, events: readonly BudgetEvent[]) => Value;

/** Other instances may open or close a month at the same time; each time one is met, another way is taken. */
const WAYS_MAX = 5;

/** A tenant's books, month after month: opens, closes and carries, so that callers need not know where a month ends. */
@Injectable()
export class Books {
  readonly #openings = new Map<string, Promise<Result<string>>>();

  constructor(
    private readonly store: EventStore,
    private readonly views: Views,
    private readonly plans: PlanCatalogue,
  ) {}

  /** Executes a command in the month around now, and opens its books if nobody did. */
  async spend<Value>(
    context: TenantContext,
    nowMs: number,
    command: Spending,
    reply: Reply<Value>,
  ): Promise<Result<Value>> {
    let month = windowKeysAt(nowMs).month;
    for (let way = 1; way <= WAYS_MAX; way++) {
      const result = await this.#execute(context, month, command, reply);
      if (result.ok) return result;
      if (result.code === 'window_closed') month = String(result.details?.['next']);
      else if (result.code !== 'window_unopened') return result;
      else {
        const opening = await this.#openOnce(context, month, nowMs);
        if (!opening.ok) return opening;
        month = opening.value;
      }
    }
    return refuse('conflict', 'the month is being opened and closed');
  }

  /** Ends reservations of a month. Of a closed one, what they free is freed in the next month too, in the same commit. */
  async end<Value>(
    context: TenantContext,
    month: string,
    command: Ending,
    reply: Reply<Value>,
  ): Promise<Result<Value>> {
    const result = await this.#execute(context, month, command, reply);
    if (result.ok || result.code !== 'window_closed') return result;
    const before = await this.#load(context.tenant, month);
    if (!before.closing) throw new Error('a month was closed and is open again');
    const { next } = before.closing;
    const opening = await this.#openAfter(context, before);
    if (!opening.ok) return opening;

    const ending: BudgetCommand = withNext(command);
    const decided: readonly BudgetEvent[] | Refusal = budget.decide(ending, before);
    if (isRefusal(decided)) return decided;
    const settled = decided.map((event) => freedBy(before, event)).filter((freed) => freed !== null);
    const carried: BudgetCommand = { type: 'settleCarried', data: { settled, nowMs: command.data.nowMs } };
    return this.store.executeAll(
      [
        { aggregate: monthlyBooks, tenant: context.tenant, stream: booksOf(month), command: ending },
        { aggregate: monthlyBooks, tenant: context.tenant, stream: booksOf(next), command: carried },
      ],
      { context, reply: ([of]) => reply(opened(of?.state as Budget), (of?.events ?? []) as readonly BudgetEvent[]) },
    );
  }

  /** Tells that a limit is used up, unless this process remembers that it was told: refusals may come by the thousand. */
  async noteExhausted(context: TenantContext, data: NotingExhausted['data']): Promise<void> {
    const note: NotingExhausted = { type: 'noteExhausted', data };
    const stream = booksOf(windowKeysAt(data.nowMs).month);
    const { state } = await this.store.load(monthlyBooks, context.tenant, stream, { mayBeStale: true });
    const decided = budget.decide(note, state);
    if (!isRefusal(decided) && decided.length === 0) return;
    await this.spend(context, data.nowMs, note, () => undefined);
  }

  /** The first books of a tenant, as they would be opened. */
  async opening(window: string, nowMs: number): Promise<WindowOpened> {
    const [opened] = budget.decide(
      { type: 'open', data: { window, ...(await this.#fresh(nowMs)), nowMs } },
      budget.initial,
    ) as readonly BudgetEvent[];
    if (opened?.type !== 'WindowOpened') throw new Error('books were not opened');
    return opened.data;
  }

  async #fresh(nowMs: number): Promise<Opening> {
    const plan = await this.plans.startingPlan();
    return { ...FRESH, plan: { plan, assignedAt: new Date(nowMs).toISOString(), spentBefore: {} } };
  }

  /** Opens the books of the month around now, unless they are open. */
  async openNow(context: TenantContext): Promise<Result<unknown>> {
    const nowMs = Date.now();
    const { month } = windowKeysAt(nowMs);
    const { state } = await this.store.load(monthlyBooks, context.tenant, booksOf(month));
    return state.status === 'open' ? { ok: true, value: undefined } : this.#openOnce(context, month, nowMs);
  }

  /** The newest books of a month or of one before it; null where there are none, or none were opened by then. */
  async newest(tenant: string, month: string, openedBy?: Date): Promise<string | null> {
    const [row] = await this.views
      .of(tenant)
      .find(
        MonthRow,
        { tenantId: tenant, month: { $lte: month }, ...(openedBy && { openedAt: { $lte: openedBy } }) },
        { orderBy: { month: 'desc' }, limit: 1 },
      );
    return row?.month ?? null;
  }

  /** A busy tenant meets a new month with hundreds of calls at once; one of them opens it for all. */
  #openOnce(context: TenantContext, month: string, nowMs: number): Promise<Result<string>> {
    const { tenant } = context;
    const running = this.#openings.get(tenant);
    if (running) return running;
    const opening = this.#open(context, month, nowMs).finally(() => this.#openings.delete(tenant));
    this.#openings.set(tenant, opening);
    return opening;
  }

  /** @returns the month to go on with. */
  async #open(context: TenantContext, month: string, nowMs: number): Promise<Result<string>> {
    const newest = await this.newest(context.tenant, LAST_MONTH);
    if (newest === null) return this.#openMonth(context, month, await this.#fresh(nowMs), nowMs);
    if (newest >= month) return { ok: true, value: newest }; // Our clock is behind that of another instance.
    const close: BudgetCommand = { type: 'close', data: { next: month, nowMs } };
    const closed = await this.#execute(context, newest, close, () => undefined, 'close');
    return closed.ok ? this.#openAfter(context, await this.#load(context.tenant, newest)) : closed;
  }

  async #openAfter(context: TenantContext, before: OpenBudget): Promise<Result<string>> {
    if (!before.closing) throw new Error('a month is opened before the last is closed');
    const { next, ...opening } = before.closing;
    return this.#openMonth(context, next, opening, Date.now());
  }

  #openMonth(context: TenantContext, window: string, opening: Opening, nowMs: number): Promise<Result<string>> {
    const open: BudgetCommand = { type: 'open', data: { window, ...opening, nowMs } };
    return this.#execute(context, window, open, () => window, 'open');
  }

  /** @param step names one of several commands that serve one request, for an id of its own. */
  #execute<Value>(
    context: TenantContext,
    month: string,
    command: BudgetCommand,
    reply: Reply<Value>,
    step?: string,
  ): Promise<Result<Value>> {
    return this.store.execute(monthlyBooks, {
      tenant: context.tenant,
      stream: booksOf(month),
      command,
      context,
      ...(step && { commandId: `${context.commandId}:${step}:${month}` }),
      reply: (state, events) => reply(opened(state), events),
    });
  }

  async #load(tenant: string, month: string): Promise<OpenBudget> {
    return opened((await this.store.load(monthlyBooks, tenant, booksOf(month))).state);
  }
}

/** Later than any. */
const LAST_MONTH = '9999-12';

function opened(state: Budget): OpenBudget {
  if (state.status === 'unopened') throw new Error('the month is not opened');
  return state;
}

function withNext(command: Ending): BudgetCommand {
  switch (command.type) {
    case 'settle':
      return { type: 'settle', data: { ...command.data, withNext: true } };
    case 'release':
      return { type: 'release', data: { ...command.data, withNext: true } };
    case 'expire':
      return { type: 'expire', data: { ...command.data, withNext: true } };
  }
}
