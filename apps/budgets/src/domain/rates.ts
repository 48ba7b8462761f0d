import type { Plan } from '@reef/contracts';

export type Rates = Plan['rates'];
export type Rate = keyof Rates;

/** What a tenant's calls asked for in one second, counted from 1970. */
export interface Recent {
  readonly second: number;
  readonly requests: number;
  readonly tokens: number;
}

/** The calls of the last minute, oldest second first; at most one entry a second. */
export type RecentUse = readonly Recent[];

const SECOND_MS = 1_000;
/**
 * Any 60 seconds touch 61 whole ones. Counting all of them holds the rate in *every* window of a minute, wherever it begins,
 * at the price of at most a second of patience.
 */
const SECONDS_COUNTED = 61;

const secondOf = (atMs: number) => Math.floor(atMs / SECOND_MS);

/** With one more call, and without what is too old to count. */
export function admitted(recent: RecentUse, atMs: number, tokens: number): RecentUse {
  const second = secondOf(atMs);
  const counted = recent.filter((each) => each.second > second - SECONDS_COUNTED);
  const last = counted.at(-1);
  // A clock that went back a little adds to the newest second: later, never less.
  if (last && last.second >= second) {
    counted[counted.length - 1] = { ...last, requests: last.requests + 1, tokens: last.tokens + tokens };
  } else counted.push({ second, requests: 1, tokens });
  return counted;
}

/** The call of an instant used so many tokens more (or fewer, below zero) than it had asked for. */
export function corrected(recent: RecentUse, admittedAtMs: number, tokens: number): RecentUse {
  if (tokens === 0) return recent;
  const second = secondOf(admittedAtMs);
  const index = recent.findIndex((each) => each.second >= second);
  const found = recent[index];
  if (!found) return recent; // Longer ago than a minute.
  return recent.with(index, { ...found, tokens: Math.max(0, found.tokens + tokens) });
}

/** What a rate's cap leaves at an instant. */
export interface RateStanding {
  readonly rate: Rate;
  readonly cap: number;
  readonly left: number;
  /** When something of it is free again, ms from the instant; 0 where something is. */
  readonly resetMs: number;
}

/** Turns end when they end: who waits for one looks again after this long. */
export const TURN_RETRY_MS = 1_000;

export function rateStandings(rates: Rates, recent: RecentUse, openTurns: number, atMs: number): RateStanding[] {
  const standings: RateStanding[] = [];
  const add = (rate: Rate, used: number, resetMs: (cap: number) => number) => {
    const cap = rates[rate];
    if (cap === null) return;
    const left = Math.max(0, cap - used);
    standings.push({ rate, cap, left, resetMs: left > 0 ? 0 : resetMs(cap) });
  };
  const counted = recent.filter(({ second }) => second > secondOf(atMs) - SECONDS_COUNTED);
  const sum = (unit: 'requests' | 'tokens') => counted.reduce((total, each) => total + each[unit], 0);
  add('requestsPerMinute', sum('requests'), (cap) => freeInMs(counted, 'requests', cap, 1, atMs));
  add('tokensPerMinute', sum('tokens'), (cap) => freeInMs(counted, 'tokens', cap, 1, atMs));
  add('concurrentTurns', openTurns, () => TURN_RETRY_MS);
  return standings;
}

/** When `wanted` of a unit is free under a cap, ms from `atMs`: old seconds stop counting one after the other. */
export function freeInMs(
  recent: RecentUse,
  unit: 'requests' | 'tokens',
  cap: number,
  wanted: number,
  atMs: number,
): number {
  const counted = recent.filter(({ second }) => second > secondOf(atMs) - SECONDS_COUNTED);
  let used = counted.reduce((total, each) => total + each[unit], 0);
  if (used + wanted <= cap) return 0;
  for (const each of counted) {
    used -= each[unit];
    if (used + wanted <= cap) return (each.second + SECONDS_COUNTED) * SECOND_MS - atMs;
  }
  return SECONDS_COUNTED * SECOND_MS;
}
