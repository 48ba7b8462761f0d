/** How hard a tenant is held back as its cap comes nearer, from free to refused. */
export type PressureStep = 'free' | 'paced' | 'background_waits' | 'interactive_only' | 'refused';
export interface Pressure {
  /** (posted + held) ÷ cap. */
  readonly utilisation: number;
  readonly step: PressureStep;
}

const LADDER: readonly [from: number, step: PressureStep][] = [
  [1, 'refused'],
  [0.98, 'interactive_only'],
  [0.9, 'background_waits'],
  [0.7, 'paced'],
];
const PARTS = 1_000_000n;

/** Whole millionths, rounded down, so that a limit counts as full only when it is. A cap of zero is always full. */
export function utilisationOf(used: bigint, cap: bigint): number {
  if (used <= 0n) return cap > 0n ? 0 : 1;
  return cap > 0n ? Number((used * PARTS) / cap) / Number(PARTS) : 1;
}

/** Monotone: more utilisation never means a lower step. */
export function pressureAt(utilisation: number): Pressure {
  for (const [from, step] of LADDER) if (utilisation >= from) return { utilisation, step };
  return { utilisation, step: 'free' };
}
