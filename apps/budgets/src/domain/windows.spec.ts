import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { HOUR_MS, windowEndsAtMs, windowKeysAt, WINDOWS, withinMonth } from './windows.js';

const at = (text: string) => Date.parse(text);
const anyInstant = fc.integer({ min: at('1995-01-01T00:00:00Z'), max: at('2105-01-01T00:00:00Z') });

describe('windows', () => {
  test('an instant lies in one hour, day, week and month, in UTC', () =>
    expect(windowKeysAt(at('2026-11-22T14:59:59.999Z'))).toEqual({
      hour: '2026-11-22T14',
      day: '2026-11-22',
      week: '2026-W47',
      month: '2026-11',
      total: 'total',
    }));

  test.each([
    ['2026-12-31T23:59:59.999Z', '2026-W53'],
    ['2027-01-03T23:59:59.999Z', '2026-W53'],
    ['2027-01-04T00:00:00.000Z', '2027-W01'],
    ['2024-12-29T23:59:59.999Z', '2024-W52'],
    ['2024-12-30T00:00:00.000Z', '2025-W01'],
    ['2020-12-31T12:00:00.000Z', '2020-W53'],
    ['2021-01-03T12:00:00.000Z', '2020-W53'],
    ['1969-12-28T23:59:59.999Z', '1969-W52'],
  ])('%s lies in the ISO week %s', (instant, week) => expect(windowKeysAt(at(instant)).week).toBe(week));

  test.each([
    ['2024-02-28T23:59:59.999Z', '2024-02-29T00:00:00.000Z', '2024-03-01T00:00:00.000Z'],
    ['2024-02-29T12:00:00.000Z', '2024-03-01T00:00:00.000Z', '2024-03-01T00:00:00.000Z'],
    ['2023-02-28T12:00:00.000Z', '2023-03-01T00:00:00.000Z', '2023-03-01T00:00:00.000Z'],
    ['2026-12-31T23:00:00.000Z', '2027-01-01T00:00:00.000Z', '2027-01-01T00:00:00.000Z'],
    ['2026-04-30T00:00:00.000Z', '2026-05-01T00:00:00.000Z', '2026-05-01T00:00:00.000Z'],
  ])('the day of %s ends at %s, its month at %s', (instant, dayEnds, monthEnds) => {
    expect(windowEndsAtMs('day', at(instant))).toBe(at(dayEnds));
    expect(windowEndsAtMs('month', at(instant))).toBe(at(monthEnds));
  });

  test('a window keeps its key to its last millisecond and has another one after it', () => {
    fc.assert(
      fc.property(anyInstant, fc.constantFrom(...WINDOWS.filter((window) => window !== 'total')), (nowMs, window) => {
        const endMs = windowEndsAtMs(window, nowMs);
        expect(endMs).toBeGreaterThan(nowMs);
        expect(windowKeysAt(endMs - 1)[window]).toBe(windowKeysAt(nowMs)[window]);
        expect(windowKeysAt(endMs)[window]).not.toBe(windowKeysAt(nowMs)[window]);
      }),
    );
  });

  test('later windows have greater keys, so that the newest month sorts last', () => {
    fc.assert(
      fc.property(anyInstant, fc.integer({ min: 0, max: 500 * 24 * HOUR_MS }), (nowMs, laterMs) => {
        for (const window of WINDOWS) {
          expect(windowKeysAt(nowMs + laterMs)[window] >= windowKeysAt(nowMs)[window]).toBe(true);
        }
      }),
    );
  });

  test('a clock outside the month is put to its nearest edge', () => {
    expect(withinMonth('2026-11', at('2026-10-31T23:59:59Z'))).toBe(at('2026-11-01T00:00:00Z'));
    expect(withinMonth('2026-11', at('2026-11-15T01:02:03Z'))).toBe(at('2026-11-15T01:02:03Z'));
    expect(withinMonth('2026-11', at('2026-12-01T00:00:00Z'))).toBe(at('2026-11-30T23:59:59.999Z'));
  });
});
