import { isUtc, offsetMsAt, UTC } from './time-zone.js';

export type Window = 'hour' | 'day' | 'week' | 'month' | 'total';
export const WINDOWS: readonly Window[] = ['hour', 'day', 'week', 'month', 'total'];

export const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const THURSDAY = 4;
/** Every zone's clock is set at a quarter of an hour. */
const QUARTER_MS = HOUR_MS / 4;
/** No window is longer: 31 days, and an hour by which a clock is set back. */
const LONGEST_MS: Record<Exclude<Window, 'total'>, number> = {
  hour: 2 * HOUR_MS,
  day: 2 * DAY_MS,
  week: 8 * DAY_MS,
  month: 32 * DAY_MS,
};

/**
 * The window of each length that an instant lies in, by a zone's clock: `2026-11-22T14`, `2026-11-22`, `2026-W47`, `2026-11`, `total`.
 * An hour is named by when it begins in UTC, `2026-11-22T08:15` where clocks differ from it by a part of an hour: so a name is one
 * hour where the clock is set back, and stays when a tenant changes its zone.
 */
export type WindowKeys = Readonly<Record<Window, string>>;

const remembered = new Map<string, { quarter: number; keys: WindowKeys }>();
const ZONES_REMEMBERED_MAX = 500;

/** @param nowMs ms since the epoch. */
export function windowKeysAt(nowMs: number, timeZone: string = UTC): WindowKeys {
  const quarter = Math.floor(nowMs / QUARTER_MS);
  // All keys hold for a quarter of an hour, and nearly every call is about the same one.
  const known = remembered.get(timeZone);
  if (known?.quarter === quarter) return known.keys;
  if (remembered.size >= ZONES_REMEMBERED_MAX) remembered.clear();
  const keys = keysAt(quarter * QUARTER_MS, timeZone);
  remembered.set(timeZone, { quarter, keys });
  return keys;
}

function keysAt(atMs: number, timeZone: string): WindowKeys {
  const localMs = atMs + offsetMsAt(atMs, timeZone);
  const local = new Date(localMs).toISOString();
  return {
    hour: hourAt(Math.floor(localMs / HOUR_MS) * HOUR_MS - (localMs - atMs)),
    day: local.slice(0, 10),
    week: weekAt(localMs),
    month: local.slice(0, 7),
    total: 'total',
  };
}

function hourAt(startMs: number): string {
  const start = new Date(startMs).toISOString();
  return startMs % HOUR_MS === 0 ? start.slice(0, 13) : start.slice(0, 16);
}

/** ISO 8601: a week begins on Monday and belongs to the year that its Thursday lies in. */
function weekAt(localMs: number): string {
  const thursdayMs = startOfWeekMs(localMs) + (THURSDAY - 1) * DAY_MS;
  const year = new Date(thursdayMs).getUTCFullYear();
  const week = 1 + Math.floor((thursdayMs - Date.UTC(year, 0, 1)) / (7 * DAY_MS));
  return `${year}-W${String(week).padStart(2, '0')}`;
}

function startOfWeekMs(localMs: number): number {
  const day = Math.floor(localMs / DAY_MS);
  // 1 January 1970 was a Thursday.
  const daysSinceMonday = (((day + THURSDAY - 1) % 7) + 7) % 7;
  return (day - daysSinceMonday) * DAY_MS;
}

const ends = new Map<string, number>();
const ENDS_REMEMBERED_MAX = 5_000;

/** When the window of this length around `nowMs` ends, ms since the epoch; infinity for `total`. */
export function windowEndsAtMs(window: Window, nowMs: number, timeZone: string = UTC): number {
  if (window === 'total') return Infinity;
  if (isUtc(timeZone)) return endsInUtc(window, nowMs);
  const key = windowKeysAt(nowMs, timeZone)[window];
  const name = `${timeZone} ${key}`;
  const known = ends.get(name);
  if (known !== undefined) return known;
  // The first quarter of an hour with another key: correct wherever a clock is set, even at midnight.
  let last = Math.floor(nowMs / QUARTER_MS);
  let after = last + LONGEST_MS[window] / QUARTER_MS;
  while (after - last > 1) {
    const middle = Math.floor((last + after) / 2);
    if (keysAt(middle * QUARTER_MS, timeZone)[window] === key) last = middle;
    else after = middle;
  }
  if (ends.size >= ENDS_REMEMBERED_MAX) ends.clear();
  ends.set(name, after * QUARTER_MS);
  return after * QUARTER_MS;
}

function endsInUtc(window: Exclude<Window, 'total'>, nowMs: number): number {
  switch (window) {
    case 'hour':
      return (Math.floor(nowMs / HOUR_MS) + 1) * HOUR_MS;
    case 'day':
      return (Math.floor(nowMs / DAY_MS) + 1) * DAY_MS;
    case 'week':
      return startOfWeekMs(nowMs) + 7 * DAY_MS;
    case 'month': {
      const now = new Date(nowMs);
      return Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1);
    }
  }
}

/** The westernmost clock is so far behind UTC. */
const WESTERNMOST_MS = 12 * HOUR_MS;

/**
 * Until when a clock somewhere names a window by this key, ms since the epoch. So long its use must be remembered: a tenant may
 * change its zone, and come into a window once more that it had left.
 */
export function namedUntilMs(key: string): number {
  switch (windowOfKey(key)) {
    case 'total':
      return Infinity;
    case 'hour':
      return Date.parse(key.length === 13 ? `${key}:00Z` : `${key}Z`) + HOUR_MS;
    case 'day':
      return Date.parse(key) + DAY_MS + WESTERNMOST_MS;
    case 'week': {
      const fourthOfJanuaryMs = Date.UTC(Number(key.slice(0, 4)), 0, 4);
      return startOfWeekMs(fourthOfJanuaryMs) + Number(key.slice(6)) * 7 * DAY_MS + WESTERNMOST_MS;
    }
    case 'month':
      return endsInUtc('month', Date.parse(`${key}-01`)) + WESTERNMOST_MS;
  }
}

/** What kind of window a key names. */
export function windowOfKey(key: string): Window {
  if (key === 'total') return 'total';
  if (key.includes('W')) return 'week';
  if (key.length === 7) return 'month';
  return key.length === 10 ? 'day' : 'hour';
}

/** The instant of a month (`2026-11`, UTC) that is nearest to `nowMs`: clocks of two instances differ most visibly at its edges. */
export function withinMonth(month: string, nowMs: number): number {
  const startMs = Date.parse(`${month}-01T00:00:00Z`);
  return Math.min(Math.max(nowMs, startMs), endsInUtc('month', startMs) - 1);
}
