import type { Refusal, Success } from '@reef/contracts';
import { refuse } from '@reef/eventing/pure';
import { type Applied, isRationed, lastsMs, paceMs, pressureOn, type Standing } from './bounds.js';
import { get } from './dictionary.js';
import { type Attribution, type Limit, nameOf } from './limits.js';
import { dearestInputPico, dearestOutputPico, type Price } from './money.js';
import { CONCURRENT_TURNS_DEFAULT } from './plan.js';
import { admission, CALL_RETRY_MS } from './pressure.js';
import { freeInMs, type RecentUse, TURN_RETRY_MS } from './rates.js';
import { windowEndsAtMs } from './windows.js';

/** A shorter answer than this helps nobody: rather than clamp a call to less, it is refused. */
export const USEFUL_OUTPUT_TOKENS_MIN = 64;

/** What a call is measured against. */
interface Books extends Standing {
  readonly recent: RecentUse;
}

/** One model call at its upper bound. */
interface Call {
  readonly attribution: Attribution;
  readonly inputTokensMax: number;
  readonly outputTokensMax: number;
  readonly firstOfTurn: boolean;
  readonly price: Price;
  /** The tenant's turns under way beside the call's own. */
  readonly otherTurns: number;
}

interface Grant {
  readonly outputTokensMax: number;
  readonly heldPico: bigint;
}

type GrantRefusal = Refusal<'budget_exhausted' | 'rate_limited' | 'paced' | 'call_too_large'>;

/**
 * Grants a call what fits into every hard bound at once, which may be fewer output tokens than it asked for. What does not fit for
 * good is said before what passes by itself.
 */
export function grant(
  books: Books,
  applied: readonly Applied[],
  call: Call,
  atMs: number,
): Success<Grant> | GrantRefusal {
  const fitting = fit(books, applied, call, atMs);
  if (!fitting.ok) return fitting;
  const rated = underRates(books, call, fitting.value, atMs);
  if (!rated.ok) return rated;
  const admitted = underPressure(books, applied, call, atMs);
  if (!admitted.ok) return admitted;
  const outputTokensMax = Math.min(rated.value, admitted.value);
  return {
    ok: true,
    value: { outputTokensMax, heldPico: inputPicoOf(call) + BigInt(outputTokensMax) * outputPicoOf(call) },
  };
}

const inputPicoOf = (call: Call) => BigInt(call.inputTokensMax) * dearestInputPico(call.price, call.inputTokensMax);
const outputPicoOf = (call: Call) => dearestOutputPico(call.price, call.inputTokensMax);

/** The output tokens that fit under every cap. */
function fit(books: Books, applied: readonly Applied[], call: Call, atMs: number): Success<number> | GrantRefusal {
  const inputPico = inputPicoOf(call);
  let outputTokensMax = call.outputTokensMax;
  let tightest: Applied | null = null;
  for (const each of applied) {
    if (!each.bound.hard) continue;
    const fits = outputTokensThatFit(each.bound.unit, each.left, call, inputPico);
    if (fits >= outputTokensMax) continue;
    outputTokensMax = fits;
    tightest = each;
  }
  if (tightest && outputTokensMax < Math.min(call.outputTokensMax, USEFUL_OUTPUT_TOKENS_MIN)) {
    return exhausted(tightest, neededOf(tightest.bound.unit, call), books.timeZone, atMs);
  }
  return { ok: true, value: outputTokensMax };
}

/** How many output tokens what is left of a limit allows, at most what was asked for; −1 if not even the input fits. */
function outputTokensThatFit(unit: Limit['unit'], left: bigint, call: Call, inputPico: bigint): number {
  switch (unit) {
    case 'usd':
      return perToken(left - inputPico, outputPicoOf(call), inputPico, call.outputTokensMax);
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

/** What the shortest useful answer to this call would take of a unit. */
function neededOf(unit: Limit['unit'], call: Call): bigint {
  const outputTokens = BigInt(Math.min(call.outputTokensMax, USEFUL_OUTPUT_TOKENS_MIN));
  if (unit === 'usd') return inputPicoOf(call) + outputTokens * outputPicoOf(call);
  return unit === 'tokens' ? BigInt(call.inputTokensMax) + outputTokens : 1n;
}

function exhausted(
  { bound, name, cap, left }: Applied,
  needed: bigint,
  timeZone: string,
  atMs: number,
): Refusal<'budget_exhausted'> {
  const endsAtMs = windowEndsAtMs(bound.window, atMs, timeZone);
  return refuse('budget_exhausted', `what is left of ${spoken(bound)} is too little`, {
    ...nameOf(bound),
    name,
    cap: String(cap),
    left: String(left > 0n ? left : 0n),
    needed: String(needed),
    windowEndsAt: endsAtMs === Infinity ? null : new Date(endsAtMs).toISOString(),
  });
}

const spoken = ({ scope, window, unit }: Limit) =>
  `the ${scope === 'tenant' ? "tenant's" : `${scope}'s`} ${window} limit in ${unit}`;

/** The output tokens that the plan's rates leave. */
function underRates(books: Books, call: Call, outputTokensMax: number, atMs: number): Success<number> | GrantRefusal {
  const { requestsPerMinute, tokensPerMinute, concurrentTurns } = books.plan.plan.rates;
  const limited = (rate: string, cap: number, retryAfterMs: number) =>
    refuse('rate_limited', `the plan allows ${cap} ${rate}`, { rate, cap, retryAfterMs });
  if (concurrentTurns !== null && call.otherTurns >= concurrentTurns) {
    return limited('concurrentTurns', concurrentTurns, TURN_RETRY_MS);
  }
  if (requestsPerMinute !== null) {
    const freeMs = freeInMs(books.recent, 'requests', requestsPerMinute, 1, atMs);
    if (freeMs > 0) return limited('requestsPerMinute', requestsPerMinute, freeMs);
  }
  if (tokensPerMinute === null) return { ok: true, value: outputTokensMax };
  const granted = Math.min(outputTokensMax, tokensPerMinute - call.inputTokensMax);
  if (granted < Math.min(outputTokensMax, USEFUL_OUTPUT_TOKENS_MIN)) {
    return refuse(
      'call_too_large',
      `the plan allows ${tokensPerMinute} tokens a minute, and the call alone may take more`,
      {
        rate: 'tokensPerMinute',
        cap: tokensPerMinute,
        inputTokensMax: call.inputTokensMax,
      },
    );
  }
  const freeMs = freeInMs(books.recent, 'tokens', tokensPerMinute, call.inputTokensMax + granted, atMs);
  return freeMs > 0 ? limited('tokensPerMinute', tokensPerMinute, freeMs) : { ok: true, value: granted };
}

/** The output tokens that the nearness of the caps leaves; each bound holds back by itself. */
function underPressure(
  books: Books,
  applied: readonly Applied[],
  call: Call,
  atMs: number,
): Success<number> | GrantRefusal {
  const { source } = call.attribution;
  const turnsMax = books.plan.plan.rates.concurrentTurns ?? CONCURRENT_TURNS_DEFAULT;
  let outputTokensMax = Infinity;
  for (const each of applied) {
    if (!each.bound.hard) continue;
    const { step, utilisation } = pressureOn(books, each);
    if (step === 'free') continue;
    const pacedForMs = isRationed(each) ? rationedForMs(books, each, atMs) : 0;
    const admitted = admission(step, {
      source,
      firstOfTurn: call.firstOfTurn,
      otherTurns: call.otherTurns,
      turnsMax,
      pacedForMs,
    });
    if (!admitted.admitted) {
      const { retryAfterMs } = admitted;
      return refuse('paced', `held back: ${spoken(each.bound)} is nearly used up`, {
        ...nameOf(each.bound),
        step,
        utilisation,
        retryAfterMs,
      });
    }
    outputTokensMax = Math.min(outputTokensMax, admitted.outputTokensMax);
  }
  return { ok: true, value: outputTokensMax };
}

/** For how long what was spent of a bound lately, and what calls under way may yet spend, is to last, ms. */
function rationedForMs(books: Books, each: Applied, atMs: number): number {
  const rung = get(books.rungs, each.name);
  if (!rung) return 0;
  const spentForMs = rung.spentUntilMs - atMs;
  const held = each.counter?.held[each.bound.unit] ?? 0n;
  const heldForMs = lastsMs(held, each.left + held, paceMs(books, each, atMs));
  return spentForMs > 0 ? spentForMs + heldForMs : Math.min(spentForMs + heldForMs, CALL_RETRY_MS);
}
