import { describe, expect, test } from '@jest/globals';
import { BooksInMemory } from '../../test/books-in-memory.js';
import {
  attributionOf,
  expire,
  idOf,
  limitOf,
  NOON_MS,
  ofTenant,
  planOf,
  reserve,
  settle,
  usageOf,
} from '../../test/builders.js';
import type { BudgetEvent } from './budget.js';

/** Spends under a month's cap of 10,000 pico-USD; tells which thresholds are told. */
class Tenant {
  readonly books: BooksInMemory;
  #calls = 0;

  constructor(opening: ConstructorParameters<typeof BooksInMemory>[0] = { limits: [limitOf({ cap: 10_000n })] }) {
    this.books = new BooksInMemory(opening);
  }

  begin(boundPico: number, nowMs = NOON_MS) {
    const name = `c${this.#calls++}`;
    const answer = this.books.spend(
      reserve(name, [boundPico - 10, 1], { nowMs, expiresAt: new Date(nowMs + 60_000).toISOString() }),
    );
    return 'code' in answer ? { refused: String(answer.details?.['name']) } : { name };
  }

  spend(pico: number, nowMs = NOON_MS) {
    const { name } = this.begin(pico, nowMs);
    return this.told(this.books.end('2026-11', settle(name ?? '', [pico - 10, 1], { nowMs })));
  }

  refuse() {
    const { refused } = this.begin(9_000_000);
    const data = { name: refused ?? '', attribution: attributionOf(), nowMs: NOON_MS };
    return this.told(this.books.spend({ type: 'noteExhausted', data }));
  }

  told(answer: ReturnType<BooksInMemory['end']>) {
    if ('code' in answer) throw new Error(answer.code);
    return answer.flatMap((event: BudgetEvent) =>
      event.type === 'ThresholdCrossed' ? [event.data.thresholdPercent] : [],
    );
  }
}

describe('a limit tells', () => {
  test('each threshold once, when it is reached and not a picodollar before', () => {
    const tenant = new Tenant();
    const told: number[][] = [];
    for (const pico of [4_999, 10, 2_990, 10, 990, 10, 980, 11]) told.push(tenant.spend(pico));
    // 4,999 5,009 7,999 8,009 8,999 9,009 9,989 10,000
    expect(told).toEqual([[], [50], [], [80], [], [90], [], [100]]);
  });

  test('exactly half is half', () => {
    expect(new Tenant().spend(5_000)).toEqual([50]);
    expect(new Tenant().spend(4_999)).toEqual([]);
  });

  test('several at once, lowest first', () => expect(new Tenant().spend(9_500)).toEqual([50, 80, 90]));

  test('that it is used up when it refuses, once, and not again when the last of it is spent', () => {
    const tenant = new Tenant();
    tenant.spend(9_500);
    expect(tenant.refuse()).toEqual([100]);
    expect(tenant.refuse()).toEqual([]);
    expect(tenant.spend(500)).toEqual([]);
    expect(tenant.refuse()).toEqual([]);
  });

  test('what a plan’s and a tenant’s limit on the same reach, each by its own cap', () => {
    const plan = planOf({ limits: [ofTenant({ cap: 20_000n })] });
    const tenant = new Tenant({ plan, limits: [limitOf({ cap: 10_000n })] });
    expect(tenant.spend(10_000)).toEqual([50, 50, 80, 90, 100]);
    expect(new Tenant({ plan, limits: [limitOf({ cap: 20_000n })] }).spend(10_000)).toEqual([50]);
  });

  test('anew after a top-up, by the new cap', () => {
    const plan = planOf({ limits: [ofTenant({ cap: 10_000n, topUps: true })] });
    const tenant = new Tenant({ plan });
    expect(tenant.spend(10_000)).toEqual([50, 80, 90, 100]);
    expect(tenant.refuse()).toEqual([]);
    tenant.books.spend({
      type: 'topUp',
      data: { topUpId: idOf('more'), unit: 'usd', amount: 10_000n, nowMs: NOON_MS },
    });
    expect(tenant.spend(6_000)).toEqual([80]);
    expect(tenant.spend(4_000)).toEqual([90, 100]);
  });

  test('anew in the next window', () => {
    const tenant = new Tenant({ limits: [limitOf({ cap: 10_000n, window: 'day' })] });
    expect(tenant.spend(5_000)).toEqual([50]);
    expect(tenant.spend(5_000, NOON_MS + 86_400_000)).toEqual([50]);
  });

  test('nothing twice when an estimate was too high, and what an adjustment reaches', () => {
    const tenant = new Tenant();
    const { name = '' } = tenant.begin(6_000);
    const expired = tenant.books.end('2026-11', expire(NOON_MS + 60_000));
    expect(tenant.told(expired)).toEqual([50]);
    tenant.books.end('2026-11', settle(name, [1_000, 0], { nowMs: NOON_MS + 61_000 }));
    expect(tenant.spend(4_500)).toEqual([]);

    const other = new Tenant();
    const call = reserve('late', [100, 900], {});
    other.books.spend(call);
    expect(other.told(other.books.end('2026-11', expire(NOON_MS + 60_000)))).toEqual([]);
    const truth = settle('late', null, { usage: usageOf(100, 700), nowMs: NOON_MS + 61_000 });
    expect(other.told(other.books.end('2026-11', truth))).toEqual([50]);
  });
});
