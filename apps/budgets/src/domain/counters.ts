import type { Unit } from './limits.js';
import { type Dictionary, dictionary, entriesOf, get, put } from './dictionary.js';
import { namedUntilMs } from './windows.js';

/** An amount of everything that is counted: pico-USD, tokens, messages, requests. */
export type Amounts = Readonly<Record<Unit, bigint>>;

export const UNITS: readonly Unit[] = ['usd', 'tokens', 'messages', 'requests'];
export const NOTHING: Amounts = { usd: 0n, tokens: 0n, messages: 0n, requests: 0n };

/** What one scope used in one window: spent, and set aside for calls under way. */
export interface Counter {
  /** When no zone's clock names the window any more, ms since the epoch. */
  readonly namedUntilMs: number;
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

export function hold(counters: Counters, key: string, held: Amounts): Counters {
  const counter = counterOf(counters, key);
  return put(counters, key, { ...counter, held: plus(counter.held, held) });
}

/** A key begins with its window's, which holds no `|`. */
export const windowKeyOf = (key: string) => key.slice(0, key.indexOf('|'));

/** The counter of a key; a new one where there is none. */
export function counterOf(counters: Counters, key: string): Counter {
  return get(counters, key) ?? { namedUntilMs: namedUntilMs(windowKeyOf(key)), posted: NOTHING, held: NOTHING };
}

/** Turns what was held into what was used. A counter that is gone stays gone. */
export function post(counters: Counters, key: string, held: Amounts, posted: Amounts): Counters {
  const counter = get(counters, key);
  if (!counter) return counters;
  return put(counters, key, {
    namedUntilMs: counter.namedUntilMs,
    posted: plus(counter.posted, posted),
    held: minus(counter.held, held),
  });
}

/** Without the windows that no clock has named since `sinceMs`, and that hold nothing any more. */
export function forget(counters: Counters, sinceMs: number): Counters {
  const kept = entriesOf(counters).filter(
    ([, { namedUntilMs: untilMs, held }]) => untilMs > sinceMs || UNITS.some((unit) => held[unit] !== 0n),
  );
  return kept.length === counters.size ? counters : dictionary(kept);
}
