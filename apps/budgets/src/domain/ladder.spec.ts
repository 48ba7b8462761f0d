import { describe, expect, test } from '@jest/globals';
import { BooksInMemory } from '../../test/books-in-memory.js';
import { attributionOf, idOf, limitOf, NOON_MS, ofTenant, planOf, reserve, settle } from '../../test/builders.js';
import { entriesOf } from './dictionary.js';
import { standings } from './standing.js';
import { HOUR_MS } from './windows.js';

const CAP = 1_000_000n;
const PACE_MS = HOUR_MS;
type Source = ReturnType<typeof attributionOf>['source'];

/** Half of a month's cap is spent; calls in virtual time, of 1,000 pico-USD unless said otherwise, held at twice that. */
class Tenant {
  readonly books: BooksInMemory;
  readonly startMs = NOON_MS;
  #calls = 0;

  constructor(
    change: { unit?: 'usd' | 'messages' | 'requests'; cap?: bigint; spentPercent?: bigint; own?: bigint } = {},
  ) {
    const { unit = 'usd', cap = CAP, spentPercent = 50n, own } = change;
    this.books = new BooksInMemory({
      plan: { ...planOf({ limits: [ofTenant({ unit, cap })], paceOverSeconds: PACE_MS / 1_000 }) },
      limits: own === undefined ? [] : [limitOf({ unit, cap: own })],
      carried: { [`${unit}|2026-11|tenant`]: (cap * spentPercent) / 100n },
    });
  }

  /** A reservation's name, how long to wait, ms, or that the books say no for good. */
  begin(nowMs: number, change: { turn?: string; source?: Source; usedPico?: number } = {}) {
    const { turn = `turn${this.#calls}`, source = 'chat', usedPico = 1_000 } = change;
    const name = `c${this.#calls++}`;
    const call = reserve(name, [usedPico, usedPico / 10], {
      nowMs,
      expiresAt: new Date(nowMs + HOUR_MS).toISOString(),
      attribution: attributionOf({ turnId: idOf(turn), source }),
    });
    const answer = this.books.spend(call);
    if (!('code' in answer)) return { name };
    if (answer.code === 'budget_exhausted') return 'exhausted' as const;
    expect(answer.code).toBe('paced');
    return { name: undefined, waitMs: Number(answer.details?.['retryAfterMs']), step: answer.details?.['step'] };
  }

  end(name: string, nowMs: number, usedPico = 1_000) {
    this.books.end('2026-11', settle(name, [usedPico, 0], { nowMs }));
  }

  percentUsed(nowMs: number): number {
    const [found] = standings(this.books.state, nowMs);
    return found ? Number(((found.posted + found.held) * 10_000n) / found.cap) / 100 : 0;
  }

  /** Loops of calls that take `callMs`, each begun as soon as the one before ended; when the cap was reached, ms, or null. */
  run(workers: number, forMs: number, callMs: number, usedPico = 1_000): number | null {
    const dueMs = Array.from({ length: workers }, () => this.startMs);
    const running = new Map<number, string>();
    for (;;) {
      const nowMs = Math.min(...dueMs);
      const worker = dueMs.indexOf(nowMs);
      if (nowMs >= this.startMs + forMs) return null;
      const name = running.get(worker);
      if (name) this.end(name, nowMs, usedPico);
      running.delete(worker);
      const begun = this.begin(nowMs, { usedPico });
      if (begun === 'exhausted' || this.percentUsed(nowMs) >= 100) return nowMs - this.startMs;
      if (begun.name !== undefined) running.set(worker, begun.name);
      dueMs[worker] = nowMs + (begun.name !== undefined ? callMs : begun.waitMs);
    }
  }
}

describe('a runaway loop that begins with half of a cap left', () => {
  test.each([
    ['one call after the other', 1, 1_000, 1_000],
    ['one call after the other, each a hundredth of the cap', 1, 1_000, 10_000],
    ['fifty calls at once', 50, 2_000, 1_000],
    ['fifty short calls at once', 50, 100, 1_000],
    ['fifty calls at once, each a two hundredth of the cap', 50, 10_000, 5_000],
  ])(
    '%s: has not reached it after nine tenths of the time that what is left shall last',
    (_name, workers, callMs, usedPico) => {
      const tenant = new Tenant();
      expect(tenant.run(workers, 0.9 * PACE_MS, callMs, usedPico)).toBe(null);
    },
  );

  test('is not slowed before 70 %', () => {
    const tenant = new Tenant();
    tenant.run(1, 199_000, 1_000);
    expect(tenant.percentUsed(tenant.startMs + 199_000)).toBeCloseTo(70, 0);
  });

  test('is held back by the narrower of two limits, however wide the other is', () => {
    for (const own of [10n * CAP, CAP]) {
      const tenant = new Tenant({ own, ...(own === CAP && { cap: 10n * CAP, spentPercent: 5n }) });
      expect(tenant.run(10, 0.9 * PACE_MS, 1_000)).toBe(null);
    }
  });

  test('leaves people nearly alone: who comes a minute after it waits less than five seconds', () => {
    const tenant = new Tenant();
    tenant.run(1, 600_000, 1_000);
    let nowMs = tenant.startMs + 660_000;
    for (let message = 0; message < 20; message++) {
      const begun = tenant.begin(nowMs, { usedPico: 100 });
      const waitMs = typeof begun === 'object' && begun.name === undefined ? begun.waitMs : 0;
      expect(waitMs).toBeLessThan(5_000);
      if (typeof begun === 'object' && begun.name !== undefined) tenant.end(begun.name, nowMs + 3_000, 100);
      nowMs += 60_000;
    }
  });

  test.each(['messages', 'requests'] as const)('of %s is not rationed: people have their own pace', (unit) => {
    const tenant = new Tenant({ unit, cap: 1_000n });
    // 500 are left, one a second: with the last one begun they are used up.
    expect(tenant.run(1, PACE_MS, 1_000)).toBe(499_000);
  });
});

const stepOf = ({ books }: Tenant) => entriesOf(books.state.rungs).at(0)?.[1].step ?? 'free';

describe('near a cap', () => {
  const at = (spentPercent: bigint) => new Tenant({ spentPercent });

  test('background work waits from 90 % on, people do not', () => {
    for (const source of ['schedule', 'heartbeat', 'agent'] as const) {
      expect(at(89n).begin(NOON_MS, { source })).toHaveProperty('name');
      expect(at(90n).begin(NOON_MS, { source })).toMatchObject({ step: 'background_waits', waitMs: 60_000 });
    }
    expect(at(90n).begin(NOON_MS)).toHaveProperty('name');
  });

  test('from 98 % on one turn runs at a time, and its own calls go on', () => {
    const tenant = at(98n);
    expect(tenant.begin(NOON_MS, { turn: 'first', usedPico: 100 })).toHaveProperty('name');
    expect(tenant.begin(NOON_MS, { turn: 'second', usedPico: 100 })).toMatchObject({
      step: 'interactive_only',
      waitMs: 1_000,
    });
  });

  test('a step is left two percent below where it was entered, and not before', () => {
    const tenant = at(67n);
    const stepAfter = (usedPico: number, nowMs: number) => {
      const begun = tenant.begin(nowMs, { usedPico });
      if (typeof begun !== 'object' || begun.name === undefined) throw new Error('held back');
      const during = stepOf(tenant);
      tenant.end(begun.name, nowMs + 1_000, 0);
      return [during, stepOf(tenant)];
    };
    expect(stepAfter(14_990, NOON_MS)).toEqual(['free', 'free']);
    const fuller = at(68n);
    const begun = fuller.begin(NOON_MS, { usedPico: 10_000 });
    if (typeof begun !== 'object' || begun.name === undefined) throw new Error('held back');
    fuller.end(begun.name, NOON_MS + 1_000, 0);
    expect(stepOf(fuller)).toBe('paced');
    expect(stepAfter(15_000, NOON_MS + HOUR_MS)).toEqual(['paced', 'free']);
  });

  test('who waits for what another call may yet spend looks again soon, since it may spend little', () => {
    const tenant = at(69n);
    const held = tenant.begin(NOON_MS, { usedPico: 10_000 });
    expect(tenant.begin(NOON_MS)).toMatchObject({ step: 'paced', waitMs: 5_000 });
    if (typeof held !== 'object' || held.name === undefined) throw new Error('held back');
    tenant.end(held.name, NOON_MS + 3_000, 100);
    expect(tenant.begin(NOON_MS + 5_000)).toHaveProperty('name', 'c2');
  });

  test('a use that hovers at an edge does not flap', () => {
    const tenant = new Tenant({ spentPercent: 69n });
    const steps = new Set<string>();
    for (let round = 0; round < 50; round++) {
      const nowMs = NOON_MS + round * 900_000;
      const begun = tenant.begin(nowMs, { usedPico: 8_000 });
      if (typeof begun !== 'object' || begun.name === undefined) throw new Error('held back');
      tenant.end(begun.name, nowMs + 1_000, 0);
      steps.add(stepOf(tenant));
    }
    expect([...steps]).toEqual(['paced']);
  });
});
