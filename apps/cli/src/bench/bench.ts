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
  run(say: (line: string) => void): Promise<readonly Figure[]>;
}
