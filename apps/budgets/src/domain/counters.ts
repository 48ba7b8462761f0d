import type { Unit } from './limits.js';
import { type Dictionary, dictionary, entriesOf, get, put } from './dictionary.js';
import { type Window, windowEndsAtMs } from './windows.js';

/** An amount of everything that is counted: pico-USD, tokens, messages, requests. */
export type Amounts = Readonly<Record<Unit, bigint>>;

export const UNITS: readonly Unit[] = ['usd', 'tokens', 'messages', 'requests'];
export const NOTHING: Amounts = { usd: 0n, tokens: 0n, messages: 0n, requests: 0n };

/** What one scope used in one window: spent, and set aside for calls under way. */
export interface Counter {
  readonly windowEndsAtMs: number;
  readonly posted: Amounts;
  readonly held: Amounts;
}

/** Counters by key, such as `2026-11-22|agent:main`. */
export type Counters = Dictionary<Counter>;

export function plus(a: Amounts, b: Amounts): Amounts {
  return {
    usd: a.usd + b.usd,
    tokens: a.tokens + b.tokens,
    messages: a.messages + b.messages,
    requests: a.requests + b.requests,
  };
}

export function minus(a: Amounts, b: Amounts): Amounts {
  return {
    usd: a.usd - b.usd,
    tokens: a.tokens - b.tokens,
    messages: a.messages - b.messages,
    requests: a.requests - b.requests,
  };
}

export function usedOf(counter: Counter | undefined, unit: Unit): bigint {
  return counter ? counter.posted[unit] + counter.held[unit] : 0n;
}

/** @param at an instant within the counter's window, and the zone whose clock it goes by. */
export function hold(
  counters: Counters,
  key: string,
  window: Window,
  at: { atMs: number; timeZone: string },
  held: Amounts,
): Counters {
  const counter = get(counters, key) ?? {
    windowEndsAtMs: windowEndsAtMs(window, at.atMs, at.timeZone),
    posted: NOTHING,
    held: NOTHING,
  };
  return put(counters, key, { ...counter, held: plus(counter.held, held) });
}

/** Turns what was held into what was used. A counter that is gone stays gone. */
export function post(counters: Counters, key: string, held: Amounts, posted: Amounts): Counters {
  const counter = get(counters, key);
  if (!counter) return counters;
  return put(counters, key, {
    windowEndsAtMs: counter.windowEndsAtMs,
    posted: plus(counter.posted, posted),
    held: minus(counter.held, held),
  });
}

/** Without the windows that ended before `endedMs` and hold nothing any more. */
export function forget(counters: Counters, endedMs: number): Counters {
  const kept = entriesOf(counters).filter(
    ([, { windowEndsAtMs: endsAtMs, held }]) => endsAtMs > endedMs || UNITS.some((unit) => held[unit] !== 0n),
  );
  return kept.length === counters.size ? counters : dictionary(kept);
}
