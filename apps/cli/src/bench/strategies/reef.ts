import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Decider } from '@reef/eventing/pure';
import { isRefusal } from '@reef/eventing/pure';
import { repositoryRoot } from '../../stack/layout.js';
import { CAPS_PICO, PRICE_PICO, type Scope, type Strategy } from './strategy.js';

/** What is said to the decider of budgets, and heard of it, as far as it matters here. */
interface Event {
  readonly type: string;
  readonly data: {
    readonly reservationId: string;
    readonly outputTokensMax: number;
    readonly heldPico: bigint;
    readonly costPico: bigint;
  };
}
type BudgetDecider = Decider<unknown, { type: string; data: object }, Event, string>;
interface Domain {
  readonly budget: BudgetDecider;
  readonly FRESH: object;
}

/** A worker is dead after nine seconds of silence; it speaks every three. */
const DEAD_AFTER_MS = 9_000;
const RESERVATION_MS = 200_000;
const START_MS = Date.parse('2026-11-10T12:00:00Z');
const MONTH = '2026-11';
const WORKER = 'worker';
const price = {
  model: 'bench/model',
  inputPico: PRICE_PICO.input,
  cacheReadPico: PRICE_PICO.input,
  cacheWritePico: PRICE_PICO.input,
  outputPico: PRICE_PICO.output,
};

/**
 * Reef's own decider as `apps/budgets` has compiled it, in virtual time: no copy and no model of it. Apps share no source; a
 * benchmark loads another app's output as the stack does.
 */
export async function reef(caps = CAPS_PICO): Promise<Strategy> {
  const file = join(repositoryRoot, 'apps', 'budgets', 'dist', 'domain', 'budget.js');
  return fromDecider((await import(pathToFileURL(file).href)) as Domain, caps);
}

function fromDecider({ budget, FRESH }: Domain, caps: Readonly<Record<Scope, bigint>>): Strategy {
  let state = budget.initial;
  const holds = new Map<string, bigint>();
  const booked = new Map<string, bigint>();
  const granted = new Map<string, number>();
  const execute = (type: string, data: object, atMs: number) => {
    const decided = budget.decide({ type, data: { ...data, nowMs: START_MS + atMs } }, state);
    if (isRefusal(decided)) return decided;
    for (const event of decided) {
      state = budget.evolve(state, event);
      const { reservationId: id, heldPico, costPico, outputTokensMax } = event.data;
      if (event.type === 'Reserved') {
        holds.set(id, heldPico);
        granted.set(id, outputTokensMax);
      }
      if (event.type === 'Settled' || event.type === 'ReservationExpired') {
        holds.delete(id);
        booked.set(id, costPico);
      }
    }
    return null;
  };
  const end = (id: string, outcome: string, usage: object | null, outputTokensSeen: number, atMs: number) =>
    execute('settle', { reservationId: id, window: MONTH, outcome, usage, outputTokensSeen, withNext: false }, atMs);

  const limit = (scope: Scope) => ({
    scope,
    scopeId: scope === 'key' ? '*' : null,
    window: 'month',
    unit: 'usd',
    cap: caps[scope],
    hard: true,
  });
  const plan = {
    plan: 'bench',
    name: 'Bench',
    pricePico: 0n,
    markupBasisPoints: 0,
    limits: [{ ...limit('tenant'), topUps: false }],
    rates: { requestsPerMinute: null, tokensPerMinute: null, concurrentTurns: null },
    weight: 1,
    // The others ration nothing near their caps.
    paceOverSeconds: 0,
  };
  const inForce = { plan, assignedAt: new Date(START_MS).toISOString(), spentBefore: {} };
  execute('open', { ...FRESH, window: MONTH, plan: inForce, limits: [limit('key')] }, 0);
  return {
    reserve({ id, scopes, inputTokensMax, outputTokensMax }, atMs) {
      const attribution = {
        turnId: id,
        agent: 'main',
        user: null,
        session: `agent:main:${id}`,
        // The other key's use is counted on the tenant and on a key of its own, whose cap is no matter here.
        keyId: scopes.includes('key') ? 'busy' : null,
        model: price.model,
        source: 'chat',
      };
      const expiresAt = new Date(START_MS + atMs + RESERVATION_MS).toISOString();
      const call = {
        reservationId: id,
        attribution,
        inputTokensMax,
        // As dispatch does: a third of the bound by bytes.
        inputTokensLikely: Math.ceil(inputTokensMax / 3),
        outputTokensMax,
        firstOfTurn: true,
      };
      const refusal = execute('reserve', { ...call, worker: WORKER, expiresAt, price, priceVersion: 1 }, atMs);
      if (!refusal) return { granted: true, outputTokensMax: granted.get(id) ?? 0 };
      const retryAfterMs = refusal.details?.['retryAfterMs'];
      return { granted: false, ...(typeof retryAfterMs === 'number' && { retryAfterMs }) };
    },
    completed(id, { input, output }, atMs) {
      const rest = { cacheReadTokens: 0, cacheWriteTokens: 0, cacheWrite1hTokens: 0, reasoningTokens: 0 };
      end(id, 'completed', { inputTokens: input, outputTokens: output, ...rest }, output, atMs);
    },
    hungUp: (id, outputTokensSeen, atMs) => void end(id, 'cancelled', null, outputTokensSeen, atMs),
    tick(atMs, deaths) {
      const found = deaths.filter(({ diedAtMs }) => atMs - diedAtMs >= DEAD_AFTER_MS).flatMap(({ calls }) => calls);
      for (const { id, outputTokensTold } of found) {
        if (holds.has(id)) {
          const outputTokensSeen = { [id]: outputTokensTold };
          // The turn is named, since all calls of a trace are one worker's.
          execute('expire', { turnId: id, deadWorkers: [], outputTokensSeen, withNext: false }, atMs);
        }
      }
    },
    bookedPico: (id) => booked.get(id) ?? 0n,
    heldPico: () => [...holds.values()].reduce((sum, pico) => sum + pico, 0n),
  };
}
