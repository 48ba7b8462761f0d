import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { BooksInMemory } from '../../test/books-in-memory.js';
import {
  attributionOf,
  expire,
  idOf,
  limitOf,
  ofTenant,
  PLAN,
  planOf,
  release,
  reserve,
  settle,
} from '../../test/builders.js';
import { entriesOf } from './dictionary.js';
import { standings } from './standing.js';
import { topUpOf } from './top-ups.js';
import { HOUR_MS, namedUntilMs, type Window, type WindowKeys, windowKeysAt } from './windows.js';

// A model of its own: a list of calls, each with the windows it was made in and what it may still take or has taken.
interface Call {
  readonly id: string;
  readonly month: string;
  readonly windows: WindowKeys;
  readonly bound: readonly [input: number, output: number];
  amount: bigint;
  status: 'held' | 'ended' | { expiredAtMs: number };
}

// A Monday on which a month ends.
const START_MS = Date.parse('2026-11-30T15:00:00Z');
const ADJUSTED_WITHIN_MS = 3 * HOUR_MS;
const ZONES = ['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kathmandu', 'Pacific/Apia', 'Etc/GMT+12'];
const costOf = (input: number, output: number) => BigInt(input) + 10n * BigInt(output);

const stepMs = fc.oneof(fc.constant(0), fc.nat(60_000), fc.nat(8 * HOUR_MS));
const part = fc.double({ min: 0, max: 1, noNaN: true });
const which = fc.nat(7);
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('reserve' as const),
      stepMs,
      input: fc.nat(40),
      output: fc.integer({ min: 1, max: 40 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('settle' as const), stepMs, which, part }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('release' as const), stepMs, which }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('expire' as const), stepMs }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('topUp' as const),
      stepMs,
      id: fc.nat(5),
      amount: fc.integer({ min: 1, max: 600 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('setLimits' as const), stepMs, cap: fc.option(fc.nat(3_000)) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('setTimeZone' as const), stepMs, timeZone: fc.constantFrom(...ZONES) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('assignPlan' as const), stepMs, cap: fc.constantFrom(0, 300, 1_000) }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

class Model {
  readonly calls: Call[] = [];
  readonly toppedUp = new Map<number, bigint>();
  timeZone = 'UTC';
  ownCap: bigint | null = null;
  /** What estimates were too high by: a plan that came between took them for spent. */
  overestimated = 0n;

  /** What calls in each window of this length took, or may take. */
  spentIn(window: Window): Map<string, bigint> {
    const spent = new Map<string, bigint>();
    for (const { windows, amount } of this.calls) {
      spent.set(windows[window], (spent.get(windows[window]) ?? 0n) + amount);
    }
    return spent;
  }

  /** What all windows of this length took beyond a cap. */
  beyond(window: Window, cap: bigint): bigint {
    return [...this.spentIn(window).values()].reduce((sum, spent) => sum + (spent > cap ? spent - cap : 0n), 0n);
  }

  get granted(): bigint {
    return [...this.toppedUp.values()].reduce((sum, amount) => sum + amount, 0n);
  }
}

/** Takes a step in both worlds; tells what was granted or refused. */
function take(books: BooksInMemory, model: Model, step: Step, nowMs: number, window: Window): void {
  const open = model.calls.filter(({ status }) => status === 'held');
  switch (step.type) {
    case 'reserve': {
      const id = `c${model.calls.length}`;
      const call = reserve(id, [step.input, step.output], {
        nowMs,
        expiresAt: new Date(nowMs + 2 * HOUR_MS).toISOString(),
        attribution: attributionOf({ user: null }),
      });
      const answer = books.spend(call);
      if ('code' in answer) return void expect(answer.code).toBe('budget_exhausted');
      const windows = windowKeysAt(nowMs, model.timeZone);
      const [event] = answer;
      if (event?.type !== 'Reserved') throw new Error('not reserved');
      const bound = [step.input, event.data.outputTokensMax] as const;
      model.calls.push({ id, month: books.state.window, windows, bound, amount: costOf(...bound), status: 'held' });
      return;
    }
    case 'settle': {
      const expired = model.calls.filter(
        ({ status, month, windows }) =>
          typeof status === 'object' &&
          nowMs <= status.expiredAtMs + ADJUSTED_WITHIN_MS &&
          nowMs < namedUntilMs(windows[window]) &&
          month === books.state.window,
      );
      const call = [...open, ...expired].at(step.which % Math.max(1, open.length + expired.length));
      if (!call) return;
      const used = [Math.floor(call.bound[0] * step.part), Math.floor(call.bound[1] * step.part)] as const;
      const answer = books.end(call.month, settle(call.id, [...used], { window: call.month, nowMs }));
      if ('code' in answer) throw new Error(answer.code);
      const [event] = answer;
      if (event?.type === 'Settled') call.amount = costOf(...used);
      else if (event?.type === 'SettlementAdjusted') {
        expect(call.amount + event.data.bookedPico).toBeLessThanOrEqual(costOf(...used));
        call.amount += event.data.bookedPico;
        if (event.data.bookedPico < 0n) model.overestimated -= event.data.bookedPico;
      } else if (books.state.window === call.month) throw new Error('a settlement was lost');
      call.status = 'ended';
      return;
    }
    case 'release': {
      const call = open.at(step.which % Math.max(1, open.length));
      if (!call) return;
      const released = books.end(call.month, release(call.id, { window: call.month, nowMs }));
      expect(released).toHaveLength(1);
      call.amount = 0n;
      call.status = 'ended';
      return;
    }
    case 'expire':
      for (const month of books.months) {
        const answer = books.end(month, expire(nowMs));
        if ('code' in answer) throw new Error(answer.code);
        for (const event of answer) {
          if (event.type !== 'ReservationExpired') continue;
          const call = open.find(({ id }) => idOf(id) === event.data.reservationId);
          if (!call) throw new Error('an unknown call expired');
          call.amount = BigInt(call.bound[0]);
          call.status = { expiredAtMs: nowMs };
        }
      }
      return;
    case 'topUp': {
      const answer = books.spend({
        type: 'topUp',
        data: { topUpId: idOf(`t${step.id}`), unit: 'usd', amount: BigInt(step.amount), nowMs },
      });
      expect('code' in answer).toBe(false);
      if (!model.toppedUp.has(step.id)) model.toppedUp.set(step.id, BigInt(step.amount));
      return;
    }
    case 'setLimits':
      model.ownCap = step.cap === null ? null : BigInt(step.cap);
      books.spend({
        type: 'setLimits',
        data: { limits: model.ownCap === null ? [] : [limitOf({ window, cap: model.ownCap })], nowMs },
      });
      return;
    case 'setTimeZone':
      model.timeZone = step.timeZone;
      books.spend({ type: 'setTimeZone', data: { timeZone: step.timeZone, nowMs } });
      return;
    case 'assignPlan':
      books.spend({
        type: 'assignPlan',
        data: { plan: { ...PLAN, limits: [ofTenant({ window, cap: BigInt(step.cap), topUps: true })] }, nowMs },
      });
  }
}

const nowIsIn = (month: string, nowMs: number) => windowKeysAt(nowMs).month === month;
const usedOfTopUps = (books: BooksInMemory) => topUpOf(books.state.topUps, 'usd')?.used ?? 0n;

test('of top-ups exactly that is spent which exceeds the allowance of each window, in whatever order calls begin, end, expire and months and zones change', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('day' as const, 'week' as const, 'month' as const),
      fc.constantFrom(0n, 300n, 1_000n),
      fc.array(step, { maxLength: 60, size: 'max' }),
      (window, cap, steps) => {
        const plan = planOf({ limits: [ofTenant({ window, cap, topUps: true })] });
        const [books, model] = [new BooksInMemory({ plan, nowMs: START_MS }), new Model()];
        let nowMs = START_MS;
        for (const each of steps) {
          if (each.type === 'assignPlan') continue;
          nowMs += each.stepMs;
          const callsBefore = model.calls.length;
          take(books, model, each, nowMs, window);
          expect(usedOfTopUps(books)).toBe(model.beyond(window, cap));
          if (each.type !== 'reserve') continue;
          const here = model.spentIn(window).get(windowKeysAt(nowMs, model.timeZone)[window]) ?? 0n;
          const left = cap + model.granted - (model.beyond(window, cap) - (here > cap ? here - cap : 0n)) - here;
          const ownLeft = model.ownCap === null ? left : model.ownCap - here;
          // What was granted fits; what was refused would not have fitted.
          if (model.calls.length > callsBefore) expect(left >= 0n && ownLeft >= 0n).toBe(true);
          else expect(left < costOf(each.input, each.output) || ownLeft < costOf(each.input, each.output)).toBe(true);
        }
      },
    ),
    { numRuns: 200 },
  );
});

test('plans assigned in mid-window, up, down and prepaid, neither lose nor double what was topped up', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const plan = planOf({ limits: [ofTenant({ window: 'month', cap: 300n, topUps: true })] });
      const [books, model] = [new BooksInMemory({ plan, nowMs: START_MS }), new Model()];
      let [nowMs, least, most] = [START_MS, 300n, 300n];
      for (const each of steps) {
        nowMs += each.stepMs;
        const callsBefore = model.calls.length;
        // What calls of the month before still hold counts as spent under the old plan.
        if (
          each.type === 'assignPlan' &&
          model.calls.some(({ status, month }) => status === 'held' && !nowIsIn(month, nowMs))
        )
          continue;
        take(books, model, each, nowMs, 'month');
        if (each.type === 'assignPlan') {
          least = least < BigInt(each.cap) ? least : BigInt(each.cap);
          most = most > BigInt(each.cap) ? most : BigInt(each.cap);
        }
        expect(model.beyond('month', most)).toBeLessThanOrEqual(model.granted);
        expect(usedOfTopUps(books)).toBeLessThanOrEqual(model.beyond('month', least) + model.overestimated);
        expect(usedOfTopUps(books)).toBeGreaterThanOrEqual(0n);
        if (model.calls.length === callsBefore) continue;
        for (const { hard, posted, held, cap, ...limit } of standings(books.state, nowMs)) {
          expect({ ...limit, isKept: !hard || posted + held <= cap }).toMatchObject({ isKept: true });
        }
      }
      expect(entriesOf(books.state.counters).every(([, { held }]) => held.usd >= 0n)).toBe(true);
    }),
    { numRuns: 200 },
  );
});
