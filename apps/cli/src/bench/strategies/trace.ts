import type { Asked, Tokens } from './strategy.js';

/** One call of a client: what it asks for, what the provider would do, and what comes between. */
export interface Call extends Asked {
  readonly atMs: number;
  /** What the provider takes if nobody stops it; its output comes evenly over the time. */
  readonly takes: Tokens;
  readonly durationMs: number;
  readonly worker: number;
  /** When its client leaves, ms after its beginning; absent where it stays. */
  readonly leavesAfterMs?: number;
  /** How often it is sent again after a refusal. */
  readonly triesMax: number;
}

export interface Trace {
  readonly calls: readonly Call[];
  readonly deaths: readonly { readonly worker: number; readonly atMs: number }[];
  readonly endsAtMs: number;
}

const WORKERS = 3;

/** Two keys of one tenant, bursts, calls short and long, clients that leave, workers that die: the same for a seed. */
export function traceOf({ calls: count, seconds, seed }: { calls: number; seconds: number; seed: number }): Trace {
  const random = generator(seed);
  const between = (low: number, high: number) => Math.floor(low + random() * (high - low));
  const calls = Array.from({ length: count }, (_, index): Call => {
    const input = between(200, 8_000);
    const outputTokensMax = random() < 0.3 ? 4_096 : 1_024;
    const output = Math.min(outputTokensMax, Math.floor(20 / (random() + 0.01)) + between(50, 400));
    // Twenty bursts; forty tokens a second, as a large model speaks.
    const atMs = Math.floor((Math.floor(random() * 20) / 20 + random() ** 3 / 20) * seconds * 1_000);
    const durationMs = 500 + output * 25;
    return {
      id: `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`,
      scopes: random() < 0.7 ? ['key', 'tenant'] : ['tenant'],
      // A bound by bytes, as it has to be for a model whose tokenizer is not known, is three to four times the truth.
      inputTokensMax: Math.ceil(input * 3.5),
      inputTokensCounted: input,
      outputTokensMax,
      takes: { input, output },
      atMs,
      durationMs,
      worker: between(0, WORKERS),
      ...(random() < 0.1 && { leavesAfterMs: between(200, durationMs) }),
      triesMax: between(1, 4),
    };
  });
  const deaths = Array.from({ length: 12 }, () => ({ worker: between(0, WORKERS), atMs: between(0, seconds * 1_000) }));
  const byTime = (a: { atMs: number }, b: { atMs: number }) => a.atMs - b.atMs;
  return { calls: calls.sort(byTime), deaths: deaths.sort(byTime), endsAtMs: (seconds + 300) * 1_000 };
}

/** Mulberry32: small, and the same everywhere. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
