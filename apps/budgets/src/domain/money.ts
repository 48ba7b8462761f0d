import type { budgets, EventOf, Usage } from '@reef/contracts';

/** pico-USD a token for each kind, by length of prompt. */
export type Price = EventOf<typeof budgets, 'Reserved'>['data']['price'];
/** What the tokens of one call cost, each kind. */
export type Rates = Omit<Price, 'model' | 'tiers'>;

/** What these tokens cost, pico-USD. The whole input, cached or not, decides by which rates all of them are charged. */
export function costPico(price: Price, usage: Usage): bigint {
  const rates = ratesFor(price, inputTokensOf(usage));
  return (
    BigInt(usage.inputTokens) * rates.inputPico +
    BigInt(usage.cacheReadTokens) * rates.cacheReadPico +
    BigInt(usage.cacheWriteTokens) * rates.cacheWritePico +
    BigInt(usage.cacheWrite1hTokens) * (rates.cacheWrite1hPico ?? rates.cacheWritePico) +
    BigInt(usage.outputTokens) * rates.outputPico +
    BigInt(usage.reasoningTokens) * (rates.reasoningPico ?? rates.outputPico)
  );
}

/** The rates of a call whose input has this many tokens; a tier begins with the first token over its length. */
export function ratesFor(price: Price, inputTokens: number): Rates {
  return price.tiers?.findLast(({ inputTokensOver }) => inputTokens > inputTokensOver) ?? price;
}

/**
 * The most an input token can cost in a call of at most `inputTokensMax`: nobody knows beforehand what will be cached, nor
 * that a longer prompt is dearer. Together with `dearestOutputPico` it bounds `costPico` for any mix of kinds.
 */
export function dearestInputPico(price: Price, inputTokensMax = Infinity): bigint {
  return dearest(price, inputTokensMax, ({ inputPico, cacheReadPico, cacheWritePico, cacheWrite1hPico }) => [
    inputPico,
    cacheReadPico,
    cacheWritePico,
    cacheWrite1hPico ?? 0n,
  ]);
}

/** The most an output token can cost in a call whose input has at most `inputTokensMax`: it may be reasoning, and the prompt long. */
export function dearestOutputPico(price: Price, inputTokensMax = Infinity): bigint {
  return dearest(price, inputTokensMax, ({ outputPico, reasoningPico }) => [outputPico, reasoningPico ?? 0n]);
}

function dearest(price: Price, inputTokensMax: number, kinds: (rates: Rates) => bigint[]): bigint {
  const reachable: Rates[] = [price, ...(price.tiers ?? []).filter((tier) => inputTokensMax > tier.inputTokensOver)];
  return reachable.flatMap(kinds).reduce((most, pico) => (pico > most ? pico : most), 0n);
}

export function inputTokensOf(usage: Usage): number {
  return usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens + usage.cacheWrite1hTokens;
}

export function outputTokensOf(usage: Usage): number {
  return usage.outputTokens + usage.reasoningTokens;
}
