import { boundPico, CAPS_PICO, costPico, type Scope, type Strategy } from './strategy.js';

/** Long enough for most calls, ms. */
export const HOLD_TTL_MS = 30_000;

/**
 * A hold of the whole bound that vanishes after a while, in the limiter itself, as Kuadrant's Limitador can keep one. Exact while every call
 * reports before its hold is gone. One that does not, since its process died or its client left, has cost the quota nothing; one that
 * takes longer than its hold is not counted while it runs on.
 */
export function ttlHold(caps = CAPS_PICO): Strategy {
  const posted = { key: 0n, tenant: 0n };
  const holds = new Map<string, { pico: bigint; untilMs: number }>();
  const scopesOf = new Map<string, readonly Scope[]>();
  const booked = new Map<string, bigint>();
  const forget = (atMs: number) => {
    for (const [id, { untilMs }] of holds) if (untilMs <= atMs) holds.delete(id);
  };
  const heldOn = (scope: Scope) => {
    let sum = 0n;
    for (const [id, { pico }] of holds) if (scopesOf.get(id)?.includes(scope)) sum += pico;
    return sum;
  };
  return {
    reserve(call, atMs) {
      forget(atMs);
      const pico = boundPico(call);
      if (call.scopes.some((scope) => posted[scope] + heldOn(scope) + pico > caps[scope])) return { granted: false };
      holds.set(call.id, { pico, untilMs: atMs + HOLD_TTL_MS });
      scopesOf.set(call.id, call.scopes);
      return { granted: true, outputTokensMax: call.outputTokensMax };
    },
    completed(id, used) {
      holds.delete(id);
      for (const scope of scopesOf.get(id) ?? []) posted[scope] += costPico(used);
      booked.set(id, costPico(used));
    },
    hungUp: () => undefined,
    tick: forget,
    bookedPico: (id) => booked.get(id) ?? 0n,
    heldPico: () => [...holds.values()].reduce((sum, { pico }) => sum + pico, 0n),
  };
}
