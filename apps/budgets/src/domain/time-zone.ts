export const UTC = 'UTC';

export const isUtc = (timeZone: string) => timeZone === UTC;

const formats = new Map<string, Intl.DateTimeFormat>();
/** A format is some kilobytes; more zones than tenants use at once are made anew. */
const FORMATS_KEPT_MAX = 200;

function formatOf(timeZone: string): Intl.DateTimeFormat {
  let format = formats.get(timeZone);
  if (!format) {
    if (formats.size >= FORMATS_KEPT_MAX) formats.clear();
    format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      calendar: 'gregory',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      era: 'short',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    formats.set(timeZone, format);
  }
  return format;
}

/** Whether the time zone database knows this name; the same data as `offsetMsAt` uses. */
export function isTimeZone(name: string): boolean {
  try {
    formatOf(name);
    return true;
  } catch {
    return false; // RangeError: no such zone.
  }
}

/** By how much a zone's clock is ahead of UTC at an instant, ms. */
export function offsetMsAt(atMs: number, timeZone: string): number {
  if (isUtc(timeZone)) return 0;
  const parts: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {};
  for (const { type, value } of formatOf(timeZone).formatToParts(atMs)) parts[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(atMs / 1_000) * 1_000;
}
