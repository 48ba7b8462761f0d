import { CAPS_PICO, costPico, type Scope, type Strategy } from './strategy.js';

const USD = 1e12;
/** From one counter's move to the next one's, and back again where the next one refuses, ms. */
const BETWEEN_COUNTERS_MS = 20;

/**
 * A counter of dollars for each scope, raised before the call, as LiteLLM's from 1.84 on. The counters move one after another: while
 * one is raised for a call that the next refuses, others are refused for it. A reservation that does not fit is shrunk to what is left, and the call
 * admitted in full. A cancelled stream is settled to its input. A process that dies leaves its counters where they were, until a restart.
 */
export function sharedFloatCounter(caps = CAPS_PICO): Strategy {
  const counters = { key: 0, tenant: 0 };
  const reserved = new Map<string, { scopes: readonly Scope[]; inputTokens: number; amounts: number[] }>();
  const booked = new Map<string, bigint>();
  const rollbacks: { atMs: number; scope: Scope; usd: number }[] = [];
  const usdOf = (pico: bigint) => Number(pico) / USD;

  const rollBack = (atMs: number) => {
    while (rollbacks[0] && rollbacks[0].atMs <= atMs) {
      const { scope, usd } = rollbacks.shift() as (typeof rollbacks)[number];
      counters[scope] -= usd;
    }
  };
  const settle = (id: string, costOf: (inputTokens: number) => bigint) => {
    const call = reserved.get(id);
    if (!call) return;
    reserved.delete(id);
    const cost = costOf(call.inputTokens);
    for (const [index, scope] of call.scopes.entries()) counters[scope] += usdOf(cost) - (call.amounts[index] ?? 0);
    booked.set(id, cost);
  };
  return {
    reserve(call, atMs) {
      rollBack(atMs);
      const worstPico = costPico({ input: call.inputTokensCounted, output: call.outputTokensMax });
      const amounts: number[] = [];
      for (const scope of call.scopes) {
        const left = usdOf(caps[scope]) - counters[scope];
        if (left <= 0) {
          for (const [index, usd] of amounts.entries()) {
            rollbacks.push({ atMs: atMs + BETWEEN_COUNTERS_MS, scope: call.scopes[index] as Scope, usd });
          }
          return { granted: false };
        }
        const usd = Math.min(usdOf(worstPico), left);
        counters[scope] += usd;
        amounts.push(usd);
      }
      reserved.set(call.id, { scopes: call.scopes, inputTokens: call.inputTokensCounted, amounts });
      return { granted: true, outputTokensMax: call.outputTokensMax };
    },
    completed: (id, used) => settle(id, () => costPico(used)),
    hungUp: (id) => settle(id, (inputTokens) => costPico({ input: inputTokens, output: 0 })),
    tick: (atMs) => rollBack(atMs),
    bookedPico: (id) => booked.get(id) ?? 0n,
    heldPico: () => {
      const usd = [...reserved.values()].reduce((sum, { amounts }) => sum + (amounts.at(-1) ?? 0), 0);
      return BigInt(Math.round(usd * USD));
    },
  };
}
