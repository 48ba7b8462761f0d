import type { budgets, EventOf, Usage } from '@reef/contracts';

/** pico-USD a token, one for each kind. */
export type Price = EventOf<typeof budgets, 'Reserved'>['data']['price'];

/** What these tokens cost, pico-USD. Reasoning is priced as output. */
export function costPico(price: Price, usage: Usage): bigint {
  return (
    BigInt(usage.inputTokens) * price.inputPico +
    BigInt(usage.cacheReadTokens) * price.cacheReadPico +
    BigInt(usage.cacheWriteTokens) * price.cacheWritePico +
    BigInt(usage.outputTokens + usage.reasoningTokens) * price.outputPico
  );
}

/** The most an input token can cost: nobody knows beforehand what will be cached. */
export function dearestInputPico(price: Price): bigint {
  let dearest = price.inputPico;
  if (price.cacheReadPico > dearest) dearest = price.cacheReadPico;
  if (price.cacheWritePico > dearest) dearest = price.cacheWritePico;
  return dearest;
}

export function inputTokensOf(usage: Usage): number {
  return usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens;
}

export function outputTokensOf(usage: Usage): number {
  return usage.outputTokens + usage.reasoningTokens;
}
