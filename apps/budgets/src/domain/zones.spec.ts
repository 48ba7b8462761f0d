import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isTimeZone } from './time-zone.js';
import { HOUR_MS, namedUntilMs, type Window, windowEndsAtMs, windowKeysAt, WINDOWS } from './windows.js';

const at = (text: string) => Date.parse(text);

const ZONES = [
  'Europe/Berlin',
  'America/New_York',
  'Asia/Kathmandu',
  'Australia/Lord_Howe',
  'America/Havana',
  'Asia/Beirut',
  'Pacific/Apia',
  'Pacific/Kiritimati',
  'Etc/GMT+12',
];
const ENDING = WINDOWS.filter((window) => window !== 'total');

/** The lengths, in hours, of the windows from one instant to another. */
function lengthsOf(window: Window, zone: string, fromMs: number, toMs: number) {
  const lengths: Record<string, number> = {};
  for (let nowMs = fromMs; nowMs < toMs;) {
    const endMs = windowEndsAtMs(window, nowMs, zone);
    lengths[windowKeysAt(nowMs, zone)[window]] = (endMs - nowMs) / HOUR_MS;
    nowMs = endMs;
  }
  return lengths;
}

describe('windows by a zone’s clock', () => {
  test.each(ZONES)(
    'in %s a window keeps its key to the last millisecond, has another after it, and none comes twice',
    (zone) =>
      fc.assert(
        fc.property(
          fc.integer({ min: at('2011-01-01T00:00:00Z'), max: at('2032-01-01T00:00:00Z') }),
          fc.constantFrom(...ENDING),
          (nowMs, window) => {
            const key = windowKeysAt(nowMs, zone)[window];
            const endMs = windowEndsAtMs(window, nowMs, zone);
            expect(endMs).toBeGreaterThan(nowMs);
            expect(windowKeysAt(endMs - 1, zone)[window]).toBe(key);
            expect(windowKeysAt(endMs, zone)[window] > key).toBe(true);
            expect(windowKeysAt((nowMs + endMs) / 2, zone)[window]).toBe(key);
          },
        ),
        { numRuns: 300 },
      ),
  );

  test.each(ZONES)('in %s what a window is called is remembered at least until it ends', (zone) =>
    fc.assert(
      fc.property(
        fc.integer({ min: at('2011-01-01T00:00:00Z'), max: at('2032-01-01T00:00:00Z') }),
        fc.constantFrom(...ENDING),
        (nowMs, window) => {
          const key = windowKeysAt(nowMs, zone)[window];
          expect(namedUntilMs(key)).toBeGreaterThanOrEqual(windowEndsAtMs(window, nowMs, zone));
        },
      ),
    ),
  );

  test.each([
    [
      'Europe/Berlin',
      '2026-03-27T23:00:00Z',
      '2026-03-30T22:00:00Z',
      { '2026-03-28': 24, '2026-03-29': 23, '2026-03-30': 24 },
    ],
    [
      'Europe/Berlin',
      '2026-10-23T22:00:00Z',
      '2026-10-26T23:00:00Z',
      { '2026-10-24': 24, '2026-10-25': 25, '2026-10-26': 24 },
    ],
    ['America/New_York', '2026-03-08T05:00:00Z', '2026-03-09T04:00:00Z', { '2026-03-08': 23 }],
    ['America/New_York', '2026-11-01T04:00:00Z', '2026-11-02T05:00:00Z', { '2026-11-01': 25 }],
    ['Australia/Lord_Howe', '2026-04-04T13:00:00Z', '2026-04-05T13:30:00Z', { '2026-04-05': 24.5 }],
    ['Australia/Lord_Howe', '2026-10-03T13:30:00Z', '2026-10-04T13:00:00Z', { '2026-10-04': 23.5 }],
    // The clock is set at midnight: the day begins at one o'clock, or has its first hour twice.
    ['America/Havana', '2026-03-08T05:00:00Z', '2026-03-09T04:00:00Z', { '2026-03-08': 23 }],
    ['America/Havana', '2026-11-01T04:00:00Z', '2026-11-02T05:00:00Z', { '2026-11-01': 25 }],
    ['Asia/Beirut', '2026-03-28T22:00:00Z', '2026-03-29T21:00:00Z', { '2026-03-29': 23 }],
    // Samoa had no 30 December 2011.
    ['Pacific/Apia', '2011-12-29T10:00:00Z', '2011-12-31T10:00:00Z', { '2011-12-29': 24, '2011-12-31': 24 }],
    [
      'Asia/Kathmandu',
      '2024-02-27T18:15:00Z',
      '2024-03-01T18:15:00Z',
      { '2024-02-28': 24, '2024-02-29': 24, '2024-03-01': 24 },
    ],
  ])('in %s the days from %s to %s have these hours', (zone, from, to, hours) =>
    expect(lengthsOf('day', zone, at(from), at(to))).toEqual(hours),
  );

  test('the hour that comes twice is two hours, and of the half hour that Lord Howe sets its clock back each half is one', () => {
    const newYork = Object.values(
      lengthsOf('hour', 'America/New_York', at('2026-11-01T04:00:00Z'), at('2026-11-02T05:00:00Z')),
    );
    expect(newYork).toEqual(Array.from({ length: 25 }, () => 1));
    const lordHowe = lengthsOf('hour', 'Australia/Lord_Howe', at('2026-04-04T13:00:00Z'), at('2026-04-05T13:30:00Z'));
    expect(Object.values(lordHowe).reduce((sum, hours) => sum + hours, 0)).toBe(24.5);
    expect(Object.values(lordHowe).filter((hours) => hours === 0.5)).toHaveLength(1);
  });

  test.each([
    ['Asia/Kathmandu', '2026-11-30T18:14:59.999Z', '2026-11', '2026-11-30'],
    ['Asia/Kathmandu', '2026-11-30T18:15:00.000Z', '2026-12', '2026-12-01'],
    ['America/New_York', '2026-12-01T04:59:59.999Z', '2026-11', '2026-11-30'],
    ['America/New_York', '2026-12-01T05:00:00.000Z', '2026-12', '2026-12-01'],
    ['Pacific/Kiritimati', '2026-12-31T10:00:00.000Z', '2027-01', '2027-01-01'],
    ['Europe/Berlin', '2024-02-28T23:00:00.000Z', '2024-02', '2024-02-29'],
    ['Europe/Berlin', '2024-02-29T23:00:00.000Z', '2024-03', '2024-03-01'],
  ])('in %s, %s lies in the month %s and the day %s', (zone, instant, month, day) =>
    expect(windowKeysAt(at(instant), zone)).toMatchObject({ month, day }),
  );

  test('an hour has one name in every zone whose clock differs by whole hours', () => {
    const [nowMs, hour] = [at('2026-11-22T14:59:59Z'), '2026-11-22T14'];
    for (const zone of ['UTC', 'Europe/Berlin', 'America/New_York', 'Pacific/Kiritimati']) {
      expect(windowKeysAt(nowMs, zone).hour).toBe(hour);
    }
    expect(windowKeysAt(nowMs, 'Asia/Kathmandu').hour).toBe('2026-11-22T14:15');
  });

  test.each(['Mars/Olympus', 'Europe/Bielefeld', '', 'UTC+1'])('there is no zone %s', (name) =>
    expect(isTimeZone(name)).toBe(false),
  );
});
