import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { BooksInMemory } from '../../test/books-in-memory.js';
import { attributionOf, idOf, NOON_MS, planOf, reserve, settle } from '../../test/builders.js';

const MINUTE_MS = 60_000;
const ratesOf = (rates: Partial<ReturnType<typeof planOf>['plan']['rates']>) =>
  planOf({ rates: { requestsPerMinute: null, tokensPerMinute: null, concurrentTurns: null, ...rates } });

class Tenant {
  readonly books: BooksInMemory;
  #calls = 0;

  constructor(rates: Parameters<typeof ratesOf>[0]) {
    this.books = new BooksInMemory({ plan: ratesOf(rates) });
  }

  begin(nowMs: number, { turn = `t${this.#calls}`, tokens = [10, 10] as [number, number], first = true } = {}) {
    const name = `c${this.#calls++}`;
    const expiresAt = new Date(nowMs + 600_000).toISOString();
    const attribution = attributionOf({ turnId: idOf(turn) });
    const month = this.books.state.window;
    const answer = this.books.spend(reserve(name, tokens, { nowMs, expiresAt, attribution, firstOfTurn: first }));
    if (!('code' in answer)) return { name, month: this.books.state.window, waitMs: 0 };
    return { code: answer.code, month, waitMs: Number(answer.details?.['retryAfterMs']), details: answer.details };
  }

  end(name: string, used: [number, number], nowMs: number, window = this.books.state.window) {
    this.books.end(window, settle(name, used, { nowMs, window }));
  }
}

const gaps = fc.array(fc.oneof(fc.nat(50), fc.nat(5_000), fc.nat(70_000)), { maxLength: 80, size: 'max' });

/** The most of an amount within any 60 seconds. */
function mostInAMinute(events: readonly { atMs: number; amount: number }[]): number {
  return Math.max(
    0,
    ...events.map(({ atMs }) =>
      events
        .filter((each) => each.atMs >= atMs && each.atMs < atMs + MINUTE_MS)
        .reduce((sum, each) => sum + each.amount, 0),
    ),
  );
}

describe('requests a minute', () => {
  test('are never more than the cap in any sixty seconds, and who waits as long as he was told is admitted, not a second before', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), gaps, (cap, sequence) => {
        const tenant = new Tenant({ requestsPerMinute: cap });
        const admitted: { atMs: number; amount: number }[] = [];
        let nowMs = NOON_MS;
        for (const gapMs of sequence) {
          nowMs += gapMs;
          const { waitMs } = tenant.begin(nowMs);
          if (waitMs === 0) admitted.push({ atMs: nowMs, amount: 1 });
          else {
            expect(waitMs).toBeLessThanOrEqual(MINUTE_MS + 1_000);
            expect(tenant.begin(nowMs + waitMs - 1).waitMs).toBe(1);
            nowMs += waitMs;
            expect(tenant.begin(nowMs)).toMatchObject({ waitMs: 0 });
            admitted.push({ atMs: nowMs, amount: 1 });
          }
        }
        expect(mostInAMinute(admitted)).toBeLessThanOrEqual(cap);
      }),
      { numRuns: 100 },
    );
  });

  test('admit at least the cap in sixty-one seconds', () => {
    const tenant = new Tenant({ requestsPerMinute: 5 });
    let admitted = 0;
    for (let nowMs = NOON_MS; nowMs < NOON_MS + 610_000; nowMs += 100) if (tenant.begin(nowMs).waitMs === 0) admitted++;
    expect(admitted).toBe(50);
  });

  test('go on over the edge of a month', () => {
    const tenant = new Tenant({ requestsPerMinute: 2 });
    const edgeMs = Date.parse('2026-12-01T00:00:00Z');
    expect(tenant.begin(edgeMs - 2_000)).toMatchObject({ waitMs: 0, month: '2026-11' });
    expect(tenant.begin(edgeMs - 1_000)).toMatchObject({ waitMs: 0 });
    expect(tenant.begin(edgeMs + 1_000)).toMatchObject({ code: 'rate_limited', waitMs: 58_000 });
    expect(tenant.begin(edgeMs + 59_000)).toMatchObject({ waitMs: 0, month: '2026-12' });
  });
});

describe('tokens a minute', () => {
  test('are never more than the cap in any sixty seconds, by their bounds', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 200, max: 1_000 }),
        fc.array(fc.tuple(fc.nat(20_000), fc.nat(100), fc.integer({ min: 1, max: 100 })), {
          maxLength: 60,
          size: 'max',
        }),
        (cap, sequence) => {
          const tenant = new Tenant({ tokensPerMinute: cap });
          const admitted: { atMs: number; amount: number }[] = [];
          let nowMs = NOON_MS;
          for (const [gapMs, input, output] of sequence) {
            nowMs += gapMs;
            if (tenant.begin(nowMs, { tokens: [input, output] }).waitMs === 0)
              admitted.push({ atMs: nowMs, amount: input + output });
          }
          expect(mostInAMinute(admitted)).toBeLessThanOrEqual(cap);
        },
      ),
      { numRuns: 100 },
    );
  });

  test('are corrected by what a call really used', () => {
    const tenant = new Tenant({ tokensPerMinute: 1_000 });
    const first = tenant.begin(NOON_MS, { tokens: [500, 400] });
    expect(tenant.begin(NOON_MS + 1_000, { tokens: [60, 60] })).toMatchObject({ code: 'rate_limited', waitMs: 60_000 });
    tenant.end(first.name ?? '', [500, 30], NOON_MS + 2_000);
    expect(tenant.begin(NOON_MS + 2_000, { tokens: [406, 64] })).toMatchObject({ waitMs: 0 });
    expect(tenant.begin(NOON_MS + 2_000, { tokens: [0, 1] })).toMatchObject({ code: 'rate_limited', waitMs: 59_000 });
  });

  test('fewer than a call’s input and a useful answer never fit, and are refused for good; a long answer is clamped', () => {
    const tenant = new Tenant({ tokensPerMinute: 1_000 });
    expect(tenant.begin(NOON_MS, { tokens: [937, 100] })).toMatchObject({ code: 'call_too_large' });
    expect(tenant.begin(NOON_MS, { tokens: [936, 100] })).toMatchObject({ waitMs: 0 });
  });
});

describe('concurrent turns', () => {
  test('are exactly as many as the plan says: calls of one turn count once, and its later calls wait their turn', () => {
    const tenant = new Tenant({ concurrentTurns: 2 });
    const first = tenant.begin(NOON_MS, { turn: 'a' });
    expect(tenant.begin(NOON_MS, { turn: 'a', first: false })).toMatchObject({ waitMs: 0 });
    expect(tenant.begin(NOON_MS, { turn: 'b' })).toMatchObject({ waitMs: 0 });
    expect(tenant.begin(NOON_MS, { turn: 'c' })).toMatchObject({ code: 'rate_limited', waitMs: 1_000 });
    expect(tenant.begin(NOON_MS, { turn: 'c', first: false })).toMatchObject({ code: 'rate_limited', waitMs: 1_000 });
    tenant.end(first.name ?? '', [1, 1], NOON_MS);
    expect(tenant.begin(NOON_MS, { turn: 'c' })).toMatchObject({ code: 'rate_limited' });
    tenant.end('c1', [1, 1], NOON_MS);
    expect(tenant.begin(NOON_MS, { turn: 'c' })).toMatchObject({ waitMs: 0 });
  });

  test('that last over the edge of a month are counted until they end', () => {
    const tenant = new Tenant({ concurrentTurns: 1 });
    const edgeMs = Date.parse('2026-12-01T00:00:00Z');
    const old = tenant.begin(edgeMs - 1_000);
    expect(tenant.begin(edgeMs + 1_000)).toMatchObject({ code: 'rate_limited' });
    tenant.end(old.name ?? '', [1, 1], edgeMs + 2_000, '2026-11');
    expect(tenant.begin(edgeMs + 2_000)).toMatchObject({ waitMs: 0 });
  });
});
