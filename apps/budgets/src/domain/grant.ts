import type { Refusal, Success } from '@reef/contracts';
import { refuse } from '@reef/eventing/pure';
import { type Counters, usedOf } from './counters.js';
import { get } from './dictionary.js';
import { type Attribution, counterKey, type Limit, nameOf } from './limits.js';
import { dearestInputPico, type Price } from './money.js';
import { type Pressure, pressureAt, utilisationOf } from './pressure.js';
import { windowEndsAtMs, windowKeysAt } from './windows.js';

/** A shorter answer than this helps nobody: rather than clamp a call to less, it is refused. */
export const USEFUL_OUTPUT_TOKENS_MIN = 64;

interface Books {
  readonly limits: readonly Limit[];
  readonly counters: Counters;
}

/** One model call at its upper bound. */
interface Call {
  readonly attribution: Attribution;
  readonly inputTokensMax: number;
  readonly outputTokensMax: number;
  readonly firstOfTurn: boolean;
  readonly price: Price;
}

interface Grant {
  readonly outputTokensMax: number;
  readonly heldPico: bigint;
}

/** Grants a call what fits into every hard limit at once, which may be fewer output tokens than it asked for. */
export function grant(books: Books, call: Call, atMs: number): Success<Grant> | Refusal<'budget_exhausted'> {
  const inputPico = BigInt(call.inputTokensMax) * dearestInputPico(call.price);
  const windows = windowKeysAt(atMs);
  let outputTokensMax = call.outputTokensMax;
  let tightest: { limit: Limit; left: bigint } | null = null;
  for (const limit of books.limits) {
    if (!limit.hard) continue;
    const key = counterKey(limit, call.attribution, windows);
    if (key === null) continue;
    const left = limit.cap - usedOf(get(books.counters, key), limit.unit);
    const fits = outputTokensThatFit(limit.unit, left, call, inputPico);
    if (fits >= outputTokensMax) continue;
    outputTokensMax = fits;
    tightest = { limit, left };
  }
  if (tightest && outputTokensMax < Math.min(call.outputTokensMax, USEFUL_OUTPUT_TOKENS_MIN)) {
    return exhausted(tightest.limit, tightest.left, atMs);
  }
  const heldPico = inputPico + BigInt(outputTokensMax) * call.price.outputPico;
  return { ok: true, value: { outputTokensMax, heldPico } };
}

/** How many output tokens what is left of a limit allows, at most what was asked for; −1 if not even the input fits. */
function outputTokensThatFit(unit: Limit['unit'], left: bigint, call: Call, inputPico: bigint): number {
  switch (unit) {
    case 'usd':
      return perToken(left - inputPico, call.price.outputPico, inputPico, call.outputTokensMax);
    case 'tokens':
      return perToken(left - BigInt(call.inputTokensMax), 1n, 1n, call.outputTokensMax);
    case 'messages':
      return !call.firstOfTurn || left >= 1n ? call.outputTokensMax : -1;
    case 'requests':
      return left >= 1n ? call.outputTokensMax : -1;
  }
}

function perToken(left: bigint, each: bigint, input: bigint, asked: number): number {
  if (each === 0n) return left >= 0n || input === 0n ? asked : -1; // What costs nothing fits even an exhausted limit.
  if (left < 0n) return -1;
  const fits = left / each;
  return fits < BigInt(asked) ? Number(fits) : asked;
}

function exhausted(limit: Limit, left: bigint, atMs: number): Refusal<'budget_exhausted'> {
  const endsAtMs = windowEndsAtMs(limit.window, atMs);
  const whose = limit.scope === 'tenant' ? "tenant's" : `${limit.scope}'s`;
  return refuse(
    'budget_exhausted',
    `what is left of the ${whose} ${limit.window} limit in ${limit.unit} is too little`,
    {
      ...nameOf(limit),
      cap: String(limit.cap),
      left: String(left > 0n ? left : 0n),
      windowEndsAt: endsAtMs === Infinity ? null : new Date(endsAtMs).toISOString(),
    },
  );
}

/** The pressure of the tightest hard limit that this use counts in. */
export function pressureFor(books: Books, whose: Attribution, atMs: number): Pressure {
  const windows = windowKeysAt(atMs);
  let utilisation = 0;
  for (const limit of books.limits) {
    if (!limit.hard) continue;
    const key = counterKey(limit, whose, windows);
    if (key === null) continue;
    utilisation = Math.max(utilisation, utilisationOf(usedOf(get(books.counters, key), limit.unit), limit.cap));
  }
  return pressureAt(utilisation);
}
