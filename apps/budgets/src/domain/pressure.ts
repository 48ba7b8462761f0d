/** How hard a tenant is held back as its cap comes nearer, from free to refused. */
export type PressureStep = 'free' | 'paced' | 'background_waits' | 'interactive_only' | 'refused';
export interface Pressure {
  /** (posted + held) ÷ cap. */
  readonly utilisation: number;
  readonly step: PressureStep;
}

const LADDER: readonly { readonly from: number; readonly step: PressureStep }[] = [
  { from: 1, step: 'refused' },
  { from: 0.98, step: 'interactive_only' },
  { from: 0.9, step: 'background_waits' },
  { from: 0.7, step: 'paced' },
];
const STEPS: readonly PressureStep[] = ['free', 'paced', 'background_waits', 'interactive_only', 'refused'];
const PARTS = 1_000_000n;
/** A step is left this far below where it was entered, so that a use that hovers at an edge does not flap. */
const HYSTERESIS = 0.02;
/** Output of a call from 90 % on, tokens: near the cap a short answer is worth more than none. */
export const CLAMPED_OUTPUT_TOKENS = 1_024;
/** Who waits for another turn to end looks again after this long. */
export const WAIT_FOR_TURN_MS = 1_000;
/** Calls under way mostly spend a small part of what they hold: who waits for nothing else looks again after this long. */
export const CALL_RETRY_MS = 5_000;
/** Background work waits for room below the cap, which comes with a new window or a top-up. */
export const BACKGROUND_RETRY_MS = 60_000;
/** Nobody is told to come back later than this: a settlement may have made room long before. */
const RETRY_AFTER_MAX_MS = 15 * 60_000;

/** Whole millionths, rounded down, so that a limit counts as full only when it is. A cap of zero is always full. */
export function utilisationOf(used: bigint, cap: bigint): number {
  if (used <= 0n) return cap > 0n ? 0 : 1;
  return cap > 0n ? Number((used * PARTS) / cap) / Number(PARTS) : 1;
}

/**
 * Monotone in both: more utilisation, or a higher step before, never means a lower step.
 * @param before the step until now; it is left 2 % below where it was entered. A full cap is no such step: as soon as something
 * is free, it may be used.
 */
export function pressureAt(utilisation: number, before: PressureStep = 'free'): Pressure {
  for (const { from, step } of LADDER) {
    const stays = step !== 'refused' && rankOf(before) >= rankOf(step) && utilisation >= from - HYSTERESIS;
    if (utilisation >= from || stays) return { utilisation, step };
  }
  return { utilisation, step: 'free' };
}

export const rankOf = (step: PressureStep) => STEPS.indexOf(step);

/** A call that wants to begin under pressure. */
export interface Candidate {
  readonly source: 'chat' | 'agent' | 'schedule' | 'heartbeat';
  readonly firstOfTurn: boolean;
  /** The tenant's turns under way beside the call's own. */
  readonly otherTurns: number;
  /** How many turns the tenant may have under way where nothing presses. */
  readonly turnsMax: number;
  /** Until when what was spent lately is to last, ms from now; 0 or less: it has. */
  readonly pacedForMs: number;
}

export type Admission =
  | { readonly admitted: true; readonly outputTokensMax: number }
  | { readonly admitted: false; readonly retryAfterMs: number };

/** Whether a call may begin at a step of the ladder, and with how much output; else when to ask again. */
export function admission(step: PressureStep, call: Candidate): Admission {
  const wait = (retryAfterMs: number): Admission => ({
    admitted: false,
    retryAfterMs: Math.min(Math.max(1, Math.ceil(retryAfterMs)), RETRY_AFTER_MAX_MS),
  });
  const outputTokensMax = rankOf(step) >= rankOf('background_waits') ? CLAMPED_OUTPUT_TOKENS : Infinity;
  if (step === 'free') return { admitted: true, outputTokensMax };
  if (step !== 'paced' && call.source !== 'chat') return wait(BACKGROUND_RETRY_MS);
  const turnsMax = rankOf(step) >= rankOf('interactive_only') ? 1 : Math.max(1, Math.floor(call.turnsMax / 2));
  // A turn that runs goes on: stopping it half-way would waste what it has cost.
  if (call.firstOfTurn && call.otherTurns >= turnsMax) return wait(WAIT_FOR_TURN_MS);
  if (call.pacedForMs > 0) return wait(call.pacedForMs);
  return { admitted: true, outputTokensMax };
}
