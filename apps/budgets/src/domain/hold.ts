import type { budgets, EventOf, Usage } from '@reef/contracts';
import { type Amounts, NOTHING } from './counters.js';
import { counterKeys, type Meter } from './limits.js';
import { inputTokensOf, outputTokensOf } from './money.js';
import { windowKeysAt } from './windows.js';

/** A reservation that has not ended, and the zone whose windows it was made in. */
export type Hold = EventOf<typeof budgets, 'Reserved'>['data'] & { readonly timeZone: string };

/** What a call really took. */
export interface Used {
  readonly usage: Usage;
  readonly costPico: bigint;
}

/** How a reservation ended. One that expired may still be told the truth about, and is kept for that. */
export type Ending =
  | { readonly how: 'released' }
  | {
      readonly how: 'charged';
      readonly costPico: bigint;
      readonly estimated: boolean;
      /** The counters that the estimate was added to: the truth corrects those. */
      readonly expired: { readonly hold: Hold; readonly usage: Usage; readonly keys: readonly string[] } | null;
    };

export const reservedAtMs = (hold: Pick<Hold, 'reservedAt'>) => Date.parse(hold.reservedAt);

/** The windows a reservation counts in are those it was made in, whenever it ends. */
export const windowsOf = (hold: Hold) => windowKeysAt(reservedAtMs(hold), hold.timeZone);

export function countersOf(meters: readonly Meter[], hold: Hold) {
  return counterKeys(meters, hold.attribution, windowsOf(hold));
}

export function heldAmounts(hold: Hold): Amounts {
  return {
    usd: hold.heldPico,
    tokens: BigInt(hold.inputTokensMax + hold.outputTokensMax),
    messages: hold.firstOfTurn ? 1n : 0n,
    requests: 1n,
  };
}

export function usedAmounts(hold: Hold, used: Used | null): Amounts {
  if (!used) return NOTHING;
  return {
    usd: used.costPico,
    tokens: BigInt(tokensOf(used.usage)),
    messages: hold.firstOfTurn ? 1n : 0n,
    requests: 1n,
  };
}

export const tokensOf = (usage: Usage) => inputTokensOf(usage) + outputTokensOf(usage);

/** The whole input as it most likely was, since it may have reached the provider, and as much output as was seen. */
export function estimateOf(hold: Hold, outputTokensSeen: number): Usage {
  return {
    inputTokens: hold.inputTokensLikely ?? hold.inputTokensMax,
    cacheReadTokens: 0,
    cacheWriteTokens: 0,
    cacheWrite1hTokens: 0,
    outputTokens: Math.min(outputTokensSeen, hold.outputTokensMax),
    reasoningTokens: 0,
  };
}
