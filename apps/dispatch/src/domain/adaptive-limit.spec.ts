import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type AdaptiveLimit,
  adaptiveLimit,
  allowedAt,
  changesAtMs,
  DECREASE_EVERY_MS,
  observe,
  PAUSE_MAX_MS,
  type RateLimitReport,
} from './adaptive-limit.js';

const NOW = 1_000_000;
const fine: RateLimitReport = { throttled: false };
const throttled: RateLimitReport = { throttled: true };
const after = (limit: AdaptiveLimit, count: number, report: RateLimitReport, running: number, nowMs = NOW) =>
  Array.from({ length: count }).reduce<AdaptiveLimit>((each) => observe(each, report, { running, nowMs }), limit);

describe('the limit of a lane', () => {
  test('is its maximum until the provider objects', () => {
    expect(allowedAt(adaptiveLimit(600), NOW)).toBe(600);
    expect(allowedAt(after(adaptiveLimit(600), 50, fine, 600), NOW)).toBe(600);
  });

  test('halves what ran when the provider was overrun, once for all calls that were under way together', () => {
    const limit = after(adaptiveLimit(600), 10, throttled, 80);
    expect(allowedAt(limit, NOW)).toBe(40);
    expect(allowedAt(after(limit, 1, throttled, 40, NOW + DECREASE_EVERY_MS - 1), NOW)).toBe(40);
    expect(allowedAt(after(limit, 1, throttled, 40, NOW + DECREASE_EVERY_MS), NOW)).toBe(20);
    expect(allowedAt(after(adaptiveLimit(600), 1, throttled, 1), NOW)).toBe(1);
  });

  test('grows by one a round from there, but only where it is what holds turns back', () => {
    const limit = after(adaptiveLimit(600), 1, throttled, 80);
    expect(allowedAt(after(limit, 41, fine, 41), NOW)).toBe(41);
    expect(allowedAt(after(limit, 400, fine, 39), NOW)).toBe(40);
    expect(allowedAt(after(adaptiveLimit(10), 500, fine, 10), NOW)).toBe(10);
  });

  test('pauses as long as the provider asks, and then starts with one and doubles up to half of what was', () => {
    const limit = after(adaptiveLimit(600), 1, { throttled: true, retryAfterMs: 3_000 }, 80);
    expect(allowedAt(limit, NOW + 2_999)).toBe(0);
    expect(changesAtMs(limit, NOW)).toBe(NOW + 3_000);
    expect(allowedAt(limit, NOW + 3_000)).toBe(1);
    const round = (each: AdaptiveLimit) => after(each, allowedAt(each, NOW + 3_000), fine, 600, NOW + 3_000);
    const rounds = [1, 2, 3, 4, 5, 6].reduce((each) => [...each, round(each.at(-1)!)], [limit]);
    expect(rounds.map((each) => allowedAt(each, NOW + 3_000))).toEqual([1, 2, 4, 8, 16, 32, 40]);
  });

  test('pauses when nothing remains until it is whole again, and never longer than a minute', () => {
    for (const spent of [{ remainingRequests: 0 }, { remainingTokens: 0 }]) {
      const limit = after(adaptiveLimit(600), 1, { throttled: false, ...spent, resetAtMs: NOW + 500 }, 5);
      expect([allowedAt(limit, NOW + 499), allowedAt(limit, NOW + 500)]).toEqual([0, 600]);
    }
    const long = after(adaptiveLimit(600), 1, { throttled: true, retryAfterMs: 3_600_000 }, 5);
    expect([allowedAt(long, NOW + PAUSE_MAX_MS - 1), allowedAt(long, NOW + PAUSE_MAX_MS)]).toEqual([0, 1]);
  });

  test('lets no more run than the provider says remain, until it is whole again', () => {
    const limit = after(adaptiveLimit(600), 1, { ...fine, remainingRequests: 7, resetAtMs: NOW + 500 }, 5);
    expect([allowedAt(limit, NOW), allowedAt(limit, NOW + 500), changesAtMs(limit, NOW)]).toEqual([7, 600, NOW + 500]);
    expect(allowedAt(after(limit, 1, { ...fine, remainingRequests: 900, resetAtMs: NOW + 500 }, 5), NOW)).toBe(600);
  });

  test('stays between one and its maximum, whatever is reported, and no pause is for ever', () => {
    const report = fc.record(
      {
        throttled: fc.boolean(),
        retryAfterMs: fc.integer({ min: 0, max: 1e9 }),
        remainingRequests: fc.nat(1_000),
        remainingTokens: fc.nat(1_000),
        resetAtMs: fc.integer({ min: 0, max: 1e12 }),
      },
      { requiredKeys: ['throttled'] },
    );
    const said = fc.tuple(report, fc.nat({ max: 600 }), fc.nat({ max: 5_000 }));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 600 }), fc.array(said, { maxLength: 50 }), (max, all) => {
        let limit = adaptiveLimit(max);
        let nowMs = NOW;
        for (const [each, running, laterMs] of all) {
          nowMs += laterMs;
          limit = observe(limit, each, { running, nowMs });
          expect(allowedAt(limit, nowMs)).toBeLessThanOrEqual(max);
          expect(allowedAt(limit, nowMs + PAUSE_MAX_MS)).toBeGreaterThanOrEqual(1);
        }
      }),
    );
  });
});
