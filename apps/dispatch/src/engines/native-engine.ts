import type { Engine, TurnHost, TurnInput, TurnOutcome } from './engine.js';
import { NOTHING_USED } from './engine.js';
import { NativeTurn } from './native-turn.js';
import type { Providers } from './providers.js';
import { StopSignal } from './stop-signal.js';

export { MODEL_CALLS_MAX } from './native-turn.js';

export interface NativeEngineLimits {
  /** Tries of one model call before its first output. */
  attemptsMax: number;
  /** The first wait between tries; doubled each time, with jitter, unless the provider says how long. */
  backoffMs: number;
  /** A provider that asks for a longer wait is given up on. */
  retryAfterMaxMs: number;
  /** From the request to the first chunk: models may think for long before they speak. */
  firstChunkMaxMs: number;
  /** Between two chunks. */
  stallMaxMs: number;
}

const defaultLimits: NativeEngineLimits = {
  attemptsMax: 3,
  backoffMs: 250,
  retryAfterMaxMs: 30_000,
  firstChunkMaxMs: 180_000,
  stallMaxMs: 60_000,
};

/**
 * Our own agent loop: reserve, call the model, settle, run the tools it asks for, again until it has nothing to ask.
 * Every path out of a call goes through one `finally` that settles it.
 */
export class NativeEngine implements Engine {
  readonly #limits: NativeEngineLimits;

  constructor(
    private readonly providers: Providers,
    limits: Partial<NativeEngineLimits> = {},
  ) {
    this.#limits = { ...defaultLimits, ...limits };
  }

  async run(turn: TurnInput, host: TurnHost): Promise<TurnOutcome> {
    const resolved = this.providers.resolve(turn.model);
    if (!resolved.ok) {
      await settleUnused(turn, host);
      return { status: 'failed', code: resolved.code, message: resolved.message, text: '', usage: undefined };
    }
    const stop = new StopSignal(turn.signal, turn.deadlineMs);
    try {
      return await new NativeTurn(turn, host, resolved.model, stop, this.#limits).run();
    } finally {
      stop.dispose();
    }
  }
}

async function settleUnused(turn: TurnInput, host: TurnHost): Promise<void> {
  const answer = await turn.firstReservation?.answer;
  if (!turn.firstReservation || !answer?.ok) return;
  const { callId } = turn.firstReservation;
  await host.settle({ callId, outcome: 'cancelled', usage: NOTHING_USED, outputTokensSeen: 0 });
}
