import { describe, expect, test } from '@jest/globals';
import { checkThenCharge } from './check-then-charge.js';
import { play } from './play.js';
import { sharedFloatCounter } from './shared-float-counter.js';
import { costPico, PRICE_PICO, type Scope } from './strategy.js';
import type { Call, Trace } from './trace.js';
import { traceOf } from './trace.js';
import { HOLD_TTL_MS, ttlHold } from './ttl-hold.js';

/** A thousand tokens of output is what a call may take and takes, within ten seconds. */
const ONE = 1_000n * PRICE_PICO.output;
const call = (index: number, atMs: number, more: Partial<Call> = {}): Call => ({
  id: `call-${index}`,
  scopes: ['tenant'],
  inputTokensMax: 0,
  inputTokensCounted: 0,
  outputTokensMax: 1_000,
  takes: { input: 0, output: 1_000 },
  atMs,
  durationMs: 10_000,
  worker: 0,
  triesMax: 1,
  ...more,
});
const trace = (calls: readonly Call[], deaths: Trace['deaths'] = []): Trace => ({ calls, deaths, endsAtMs: 400_000 });
const caps = (tenant: bigint, key = 100n * ONE): Record<Scope, bigint> => ({ tenant, key });

describe('check-then-charge', () => {
  test('overshoots by the calls under way: three begin while nothing is charged', () => {
    const cap = caps(ONE);
    const outcome = play(trace([call(1, 0), call(2, 1), call(3, 2)]), checkThenCharge(cap), cap);
    expect(outcome).toMatchObject({ served: 3, overshootPico: 2n * ONE, lostPico: 0n });
  });

  test('loses what a client took that left, and what a process served that died', () => {
    const cap = caps(10n * ONE);
    const calls = [call(1, 0, { leavesAfterMs: 5_000 }), call(2, 20_000, { worker: 1 })];
    const outcome = play(trace(calls, [{ worker: 1, atMs: 25_000 }]), checkThenCharge(cap), cap);
    expect(outcome).toMatchObject({ lostPico: ONE, overshootPico: 0n });
  });
});

describe('a shared float counter', () => {
  test('shrinks a reservation to what is left, and admits the call in full: one worst case of overshoot', () => {
    const cap = caps(ONE + 1n);
    const outcome = play(trace([call(1, 0), call(2, 1), call(3, 2)]), sharedFloatCounter(cap), cap);
    expect(outcome).toMatchObject({ served: 2, refusals: 1, overshootPico: ONE - 1n });
  });

  test('settles a cancelled stream to its input, and keeps the hold of a process that died for ever', () => {
    const cap = caps(10n * ONE);
    const calls = [call(1, 0, { leavesAfterMs: 5_000 }), call(2, 20_000, { worker: 1 })];
    const outcome = play(trace(calls, [{ worker: 1, atMs: 25_000 }]), sharedFloatCounter(cap), cap);
    expect(outcome).toMatchObject({ lostPico: ONE, pinnedPico: ONE });
  });

  test('refuses on one counter for a call that the next counter is just refusing', () => {
    const cap = caps(2n * ONE, ONE);
    // The tenant's counter is full; the key's is raised for the second call, and full until that is taken back.
    const calls = [call(1, 0), call(2, 0), call(3, 5, { scopes: ['key', 'tenant'] }), call(4, 10, { scopes: ['key'] })];
    const outcome = play(trace(calls), sharedFloatCounter(cap), cap);
    expect(outcome).toMatchObject({ served: 2, refusals: 2, phantomRefusals: 1 });
  });
});

describe('a hold with a time to live', () => {
  test('keeps the cap while every call reports in time', () => {
    const cap = caps(2n * ONE);
    const outcome = play(trace([call(1, 0), call(2, 1), call(3, 2)]), ttlHold(cap), cap);
    expect(outcome).toMatchObject({ served: 2, refusals: 1, phantomRefusals: 0, overshootPico: 0n, lostPico: 0n });
  });

  test('lets a crash cost no quota at all: what died is served again and again', () => {
    const cap = caps(ONE);
    const calls = [call(1, 0), call(2, 60_000), call(3, 120_000)];
    const deaths = [0, 60_000, 120_000].map((atMs) => ({ worker: 0, atMs: atMs + 9_000 }));
    const outcome = play(trace(calls, deaths), ttlHold(cap), cap);
    expect(outcome).toMatchObject({ served: 3, lostPico: (27n * ONE) / 10n, pinnedPico: 0n });
    expect(outcome.overshootPico).toBe((17n * ONE) / 10n);
  });

  test('does not count a call that outlives its hold', () => {
    const cap = caps(ONE);
    const calls = [call(1, 0, { durationMs: 2 * HOLD_TTL_MS }), call(2, HOLD_TTL_MS + 1)];
    expect(play(trace(calls), ttlHold(cap), cap)).toMatchObject({ served: 2, overshootPico: ONE });
  });
});

test('a trace is the same for a seed, and asks for what it says', () => {
  const [one, same, other] = [1, 1, 2].map((seed) => traceOf({ calls: 50, seconds: 60, seed }));
  expect(one).toEqual(same);
  expect(one).not.toEqual(other);
  for (const { takes, inputTokensMax, outputTokensMax } of one!.calls) {
    expect(takes.input).toBeLessThanOrEqual(inputTokensMax);
    expect(takes.output).toBeLessThanOrEqual(outputTokensMax);
    expect(costPico(takes)).toBeGreaterThan(0n);
  }
});
