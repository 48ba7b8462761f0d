export type Window = 'hour' | 'day' | 'week' | 'month' | 'total';
export const WINDOWS: readonly Window[] = ['hour', 'day', 'week', 'month', 'total'];

export const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const THURSDAY = 4;

/** The window of each length that an instant lies in, in UTC: `2026-11-22T14`, `2026-11-22`, `2026-W47`, `2026-11`, `total`. */
export type WindowKeys = Readonly<Record<Window, string>>;

let remembered = { hour: NaN, keys: {} as WindowKeys };

/** @param nowMs ms since the epoch. */
export function windowKeysAt(nowMs: number): WindowKeys {
  const hour = Math.floor(nowMs / HOUR_MS);
  // All keys hold for a whole hour, and nearly every call is about the same one.
  if (remembered.hour !== hour) remembered = { hour, keys: keysOfHour(hour) };
  return remembered.keys;
}

function keysOfHour(hour: number): WindowKeys {
  const text = new Date(hour * HOUR_MS).toISOString();
  return {
    hour: text.slice(0, 13),
    day: text.slice(0, 10),
    week: weekAt(hour * HOUR_MS),
    month: text.slice(0, 7),
    total: 'total',
  };
}

/** ISO 8601: a week begins on Monday and belongs to the year that its Thursday lies in. */
function weekAt(nowMs: number): string {
  const thursdayMs = startOfWeekMs(nowMs) + (THURSDAY - 1) * DAY_MS;
  const year = new Date(thursdayMs).getUTCFullYear();
  const week = 1 + Math.floor((thursdayMs - Date.UTC(year, 0, 1)) / (7 * DAY_MS));
  return `${year}-W${String(week).padStart(2, '0')}`;
}

function startOfWeekMs(nowMs: number): number {
  const day = Math.floor(nowMs / DAY_MS);
  // 1 January 1970 was a Thursday.
  const daysSinceMonday = (((day + THURSDAY - 1) % 7) + 7) % 7;
  return (day - daysSinceMonday) * DAY_MS;
}

/** When the window of this length around `nowMs` ends, ms since the epoch; infinity for `total`. */
export function windowEndsAtMs(window: Window, nowMs: number): number {
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
    case 'total':
      return Infinity;
  }
}

/** The instant of a month (`2026-11`) that is nearest to `nowMs`: clocks of two instances differ most visibly at its edges. */
export function withinMonth(month: string, nowMs: number): number {
  const startMs = Date.parse(`${month}-01T00:00:00Z`);
  return Math.min(Math.max(nowMs, startMs), windowEndsAtMs('month', startMs) - 1);
}
