import { fold } from '@reef/eventing/pure';
import { budget, type Budget, type BudgetCommand, type BudgetEvent, freedBy } from '../src/domain/budget.js';
import type { OpenBudget } from '../src/domain/open-budget.js';
import { windowKeysAt } from '../src/domain/windows.js';
import { open } from './builders.js';

type Answer = readonly BudgetEvent[] | { readonly code: string; readonly details?: Readonly<Record<string, unknown>> };
type Ending = Extract<BudgetCommand, { type: 'settle' | 'release' | 'expire' }>;

/** A tenant's books, month after month, as the service keeps them, without a store. */
export class BooksInMemory {
  readonly #months = new Map<string, OpenBudget>();
  #newest: string;

  constructor(opening: Parameters<typeof open>[0] = {}) {
    this.#newest = opening.window ?? '2026-11';
    this.#execute(this.#newest, open(opening));
  }

  get state(): OpenBudget {
    return this.of(this.#newest);
  }

  get months(): readonly string[] {
    return [...this.#months.keys()];
  }

  of(month: string): OpenBudget {
    const state = this.#months.get(month);
    if (!state) throw new Error(`no books of ${month}`);
    return state;
  }

  spend(command: Exclude<BudgetCommand, Ending | { type: 'open' | 'close' | 'settleCarried' }>): Answer {
    const month = windowKeysAt(command.data.nowMs).month;
    if (month > this.#newest) this.#turnTo(month, command.data.nowMs);
    return this.#execute(this.#newest, command);
  }

  end(month: string, command: Ending): Answer {
    const before = this.of(month);
    if (!before.closing) return this.#execute(month, command);
    const ending = { ...command, data: { ...command.data, withNext: true } } as Ending;
    const ended = this.#execute(month, ending);
    if ('code' in ended) return ended;
    const settled = ended.map((event) => freedBy(before, event)).filter((freed) => freed !== null);
    this.#execute(before.closing.next, { type: 'settleCarried', data: { settled, nowMs: command.data.nowMs } });
    return ended;
  }

  #turnTo(next: string, nowMs: number): void {
    this.#execute(this.#newest, { type: 'close', data: { next, nowMs } });
    const { closing } = this.state;
    if (!closing) throw new Error('the books were not closed');
    this.#newest = next;
    this.#execute(next, open({ ...closing, window: next, nowMs }));
  }

  #execute(month: string, command: BudgetCommand): Answer {
    const before: Budget = this.#months.get(month) ?? budget.initial;
    const decision = budget.decide(command, before);
    if ('ok' in decision) return decision;
    const after = fold(budget, before, decision);
    if (after.status === 'open') this.#months.set(month, after);
    return decision;
  }
}
