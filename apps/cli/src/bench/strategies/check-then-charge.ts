import { type Asked, CAPS_PICO, costPico, type Strategy } from './strategy.js';

/**
 * Whoever is below the cap may call; the charge comes with the provider's word of what it took. As Bifrost, the Envoy AI gateway and
 * agentgateway work, and what Cloudflare calls eventually consistent and Vercel a soft cap.
 * Calls under way are not counted, so the cap is overshot by as many as are; without a last word nothing is charged.
 */
export function checkThenCharge(caps = CAPS_PICO): Strategy {
  const posted = { key: 0n, tenant: 0n };
  const booked = new Map<string, bigint>();
  const scopesOf = new Map<string, Asked['scopes']>();
  return {
    reserve(call) {
      if (call.scopes.some((scope) => posted[scope] >= caps[scope])) return { granted: false };
      scopesOf.set(call.id, call.scopes);
      return { granted: true, outputTokensMax: call.outputTokensMax };
    },
    completed(id, used) {
      for (const scope of scopesOf.get(id) ?? []) posted[scope] += costPico(used);
      booked.set(id, costPico(used));
    },
    hungUp: () => undefined,
    tick: () => undefined,
    bookedPico: (id) => booked.get(id) ?? 0n,
    heldPico: () => 0n,
  };
}
