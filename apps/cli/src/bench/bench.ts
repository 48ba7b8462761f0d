/** One measured number. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

/** What a module of this folder exports as `bench`. */
export interface Bench {
  /** What is measured, in a sentence. */
  readonly about: string;
  /** Says each condition and step through `say`. */
  run(say: (line: string) => void): Promise<readonly Figure[]>;
}

/** A figure with three significant digits, and never fewer than the whole part has. */
export function figure(name: string, value: number, unit: string): Figure {
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value) || 1)));
  return { name, value: Number(value.toFixed(Math.min(digits, 3))), unit };
}
