import { describe, expect, test } from '@jest/globals';
import type { Plan } from '@reef/contracts';
import { BooksInMemory } from '../../test/books-in-memory.js';
import { attributionOf, idOf, limitOf, NOON_MS, ofTenant, PLAN, planOf, reserve, settle } from '../../test/builders.js';
import { checkedPlan, SHIPPED_PLANS } from './plan.js';
import { standings } from './standing.js';

const NEXT_MONTH_MS = Date.parse('2026-12-05T12:00:00Z');
const DAY_MS = 86_400_000;

class Tenant {
  readonly books: BooksInMemory;
  #calls = 0;

  constructor(limits: Plan['limits'], opening: ConstructorParameters<typeof BooksInMemory>[0] = {}) {
    this.books = new BooksInMemory({ plan: planOf({ limits }), ...opening });
  }

  begin(bound: [number, number], nowMs = NOON_MS) {
    const name = `c${this.#calls++}`;
    const expiresAt = new Date(nowMs + 60_000).toISOString();
    const answer = this.books.spend(
      reserve(name, bound, { nowMs, expiresAt, attribution: attributionOf({ turnId: idOf(name) }) }),
    );
    return 'code' in answer ? answer.code : { name, month: this.books.state.window };
  }

  /** A whole message, or why not. */
  say(pico = 100, nowMs = NOON_MS): string {
    const begun = this.begin([pico, 1], nowMs);
    if (typeof begun === 'string') return begun;
    this.end(begun, pico, nowMs);
    return 'said';
  }

  end({ name, month }: { name: string; month: string }, pico: number, nowMs = NOON_MS) {
    this.books.end(month, settle(name, [pico, 0], { nowMs, window: month }));
  }

  topUp(unit: 'usd' | 'messages' | 'tokens', amount: bigint, topUpId = idOf(`t${amount}`), nowMs = NOON_MS) {
    const answer = this.books.spend({ type: 'topUp', data: { topUpId, unit, amount, nowMs } });
    return 'code' in answer ? answer.code : 'booked';
  }

  assign(limits: Plan['limits'], nowMs = NOON_MS) {
    this.books.spend({ type: 'assignPlan', data: { plan: { ...PLAN, limits }, nowMs } });
  }

  left(nowMs = NOON_MS) {
    return standings(this.books.state, nowMs)[0]?.left;
  }

  get topUps() {
    return this.books.state.topUps.map(({ unit, granted, used }) => ({ unit, granted, used }));
  }
}

const messages = (cap: bigint) => [ofTenant({ unit: 'messages', cap, topUps: true })];
const credit = (cap: bigint) => [ofTenant({ cap, topUps: true })];

describe('a bundle of ten messages', () => {
  test('is used up exactly, topped up by five, and used up exactly again', () => {
    const tenant = new Tenant(messages(10n));
    for (let message = 0; message < 10; message++) expect(tenant.say()).toBe('said');
    expect(tenant.say()).toBe('budget_exhausted');
    expect(tenant.topUp('messages', 5n)).toBe('booked');
    for (let message = 0; message < 5; message++) expect(tenant.say()).toBe('said');
    expect(tenant.say()).toBe('budget_exhausted');
    expect(tenant.topUps).toEqual([{ unit: 'messages', granted: 5n, used: 5n }]);
  });

  test('begins anew with the month, and what was topped up and not used is still there', () => {
    const tenant = new Tenant(messages(2n));
    tenant.topUp('messages', 3n);
    for (let message = 0; message < 3; message++) tenant.say();
    expect(tenant.topUps).toEqual([{ unit: 'messages', granted: 3n, used: 1n }]);
    expect(tenant.say(100, NEXT_MONTH_MS)).toBe('said');
    expect(tenant.left(NEXT_MONTH_MS)).toBe(3n);
  });
});

describe('monthly credit', () => {
  test('is spent before top-ups, in whatever order concurrent calls begin and end', () => {
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 0, 2],
    ]) {
      const tenant = new Tenant(credit(1_000n));
      tenant.topUp('usd', 1_000n);
      const begun = [0, 1, 2].map(() => tenant.begin([590, 1]));
      expect(tenant.topUps).toEqual([{ unit: 'usd', granted: 1_000n, used: 800n }]);
      for (const index of order) {
        const call = begun[index];
        if (typeof call !== 'object') throw new Error('refused');
        tenant.end(call, 300);
      }
      expect(tenant.topUps).toEqual([{ unit: 'usd', granted: 1_000n, used: 0n }]);
      expect(tenant.left()).toBe(1_100n);
    }
  });

  test('a call over the edge of the month gives back what it did not use of top-ups', () => {
    const tenant = new Tenant(credit(0n));
    const edgeMs = Date.parse('2026-12-01T00:00:00Z');
    tenant.topUp('usd', 1_000n);
    const begun = tenant.begin([900, 1], edgeMs - 1_000);
    expect(tenant.say(90, edgeMs + 1_000)).toBe('budget_exhausted');
    expect(tenant.say(70, edgeMs + 1_000)).toBe('said');
    if (typeof begun !== 'object') throw new Error('refused');
    tenant.end(begun, 100, edgeMs + 2_000);
    expect(tenant.topUps).toEqual([{ unit: 'usd', granted: 1_000n, used: 170n }]);
    expect(tenant.left(edgeMs + 2_000)).toBe(830n);
  });

  test('in a time zone far behind lasts until midnight there', () => {
    const tenant = new Tenant(credit(1_000n), { timeZone: 'America/New_York' });
    expect(tenant.say(900, Date.parse('2026-11-30T23:00:00Z'))).toBe('said');
    expect(tenant.say(900, Date.parse('2026-12-01T04:59:59Z'))).toBe('budget_exhausted');
    expect(tenant.say(900, Date.parse('2026-12-01T05:00:00Z'))).toBe('said');
  });
});

describe('a zone that changes', () => {
  test.each(['Pacific/Kiritimati', 'Etc/GMT+12', 'Asia/Kathmandu', 'America/New_York'])(
    'to %s and back gives no day twice',
    (timeZone) => {
      const tenant = new Tenant([ofTenant({ window: 'day', cap: 1_000n })]);
      const set = (zone: string, nowMs: number) =>
        tenant.books.spend({ type: 'setTimeZone', data: { timeZone: zone, nowMs } });
      let said = 0;
      for (let hour = 0; hour < 72; hour++) {
        const nowMs = NOON_MS + (hour * DAY_MS) / 24;
        set(hour % 2 === 0 ? timeZone : 'UTC', nowMs);
        while (tenant.say(489, nowMs) === 'said') said++;
      }
      // From the 22nd to the 25th in one zone, or the day before or after in the other: two of 489 a day.
      expect(said).toBeLessThanOrEqual(2 * 5);
    },
  );

  test('over the edge of a month gives no month twice', () => {
    const tenant = new Tenant([ofTenant({ cap: 1_000n })]);
    const edgeMs = Date.parse('2026-12-01T00:00:00Z');
    expect(tenant.say(900, edgeMs - 1_000)).toBe('said');
    expect(tenant.say(900, edgeMs + 1_000)).toBe('said');
    tenant.books.spend({ type: 'setTimeZone', data: { timeZone: 'America/New_York', nowMs: edgeMs + 7_200_000 } });
    expect(tenant.say(900, edgeMs + 7_200_000)).toBe('budget_exhausted');
  });

  test('that does not exist is refused', () =>
    expect(
      new Tenant([]).books.spend({ type: 'setTimeZone', data: { timeZone: 'Mars/Olympus', nowMs: NOON_MS } }),
    ).toMatchObject({
      code: 'time_zone_unknown',
    }));
});

describe('top-ups', () => {
  test('twice under one id are booked once, and under the id of another unit not at all', () => {
    const tenant = new Tenant([...credit(0n), ...messages(0n)]);
    expect(tenant.topUp('usd', 100n, idOf('once'))).toBe('booked');
    expect(tenant.topUp('usd', 100n, idOf('once'), NEXT_MONTH_MS)).toBe('booked');
    expect(tenant.topUp('messages', 100n, idOf('once'), NEXT_MONTH_MS)).toBe('top_up_reused');
    expect(tenant.topUps).toEqual([{ unit: 'usd', granted: 100n, used: 0n }]);
  });

  test('of nothing, of less, of too much, or of what no limit takes are refused', () => {
    const tenant = new Tenant(credit(0n));
    expect(tenant.topUp('usd', 0n)).toBe('amount_not_positive');
    expect(tenant.topUp('usd', -1n)).toBe('amount_not_positive');
    expect(tenant.topUp('usd', 10n ** 24n + 1n)).toBe('cap_absurd');
    expect(tenant.topUp('usd', 10n ** 24n)).toBe('booked');
    expect(tenant.topUp('usd', 1n)).toBe('cap_absurd');
    expect(tenant.topUp('tokens', 1n)).toBe('top_up_useless');
  });

  test('survive a plan without them, and a plan with them again', () => {
    const tenant = new Tenant(credit(100n));
    tenant.topUp('usd', 1_000n);
    expect(tenant.say(600)).toBe('said');
    tenant.assign([]);
    expect(tenant.say(5_000)).toBe('said');
    tenant.assign(credit(0n));
    expect(tenant.topUps).toEqual([{ unit: 'usd', granted: 1_000n, used: 500n }]);
    expect(tenant.left()).toBe(500n);
  });
});

describe('a plan', () => {
  test.each(SHIPPED_PLANS.map((plan) => [plan.plan, plan] as const))(
    '%s is one that could be published',
    (_name, plan) => expect(checkedPlan(plan)).toEqual(plan),
  );

  test.each([
    ['cap_negative', [ofTenant({ cap: -1n })]],
    ['cap_absurd', [ofTenant({ cap: 10n ** 24n + 1n })]],
    ['limit_repeated', [ofTenant({ cap: 1n }), ofTenant({ cap: 2n, topUps: true })]],
    ['limit_unending', [{ ...limitOf({ scope: 'user', scopeId: '*', window: 'total' }), topUps: false }]],
    ['scope_id_missing', [{ ...limitOf({ scope: 'user' }), topUps: false }]],
    ['top_ups_misplaced', [ofTenant({ hard: false, topUps: true })]],
    ['top_ups_misplaced', [{ ...limitOf({ scope: 'user', scopeId: '*' }), topUps: true }]],
    ['top_ups_misplaced', [ofTenant({ topUps: true }), ofTenant({ window: 'day', topUps: true })]],
  ] as const)('is refused as %s', (code, limits) =>
    expect(checkedPlan({ ...PLAN, limits: [...limits] })).toMatchObject({ code }),
  );
});
