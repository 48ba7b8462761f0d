/** One model call as a gateway knows it before it is made. */
export interface Asked {
  readonly id: string;
  /** The limits that apply, the narrowest first. */
  readonly scopes: readonly Scope[];
  /** An upper bound for whatever model, by bytes. */
  readonly inputTokensMax: number;
  /** By the model's own tokenizer, for those who have it. */
  readonly inputTokensCounted: number;
  readonly outputTokensMax: number;
}

export type Scope = 'key' | 'tenant';

/** Tokens by which a call is charged. */
export interface Tokens {
  readonly input: number;
  readonly output: number;
}

export type Answer =
  | { readonly granted: true; readonly outputTokensMax: number }
  | { readonly granted: false; /** Absent where asking again is of no use. */ readonly retryAfterMs?: number };

/** What a process had told of its calls when it died: nobody else speaks for it. */
export interface Death {
  readonly diedAtMs: number;
  readonly calls: readonly { readonly id: string; readonly outputTokensTold: number }[];
}

/** How a cap is kept. Time is virtual and given; calls are told in its order. */
export interface Strategy {
  reserve(call: Asked, atMs: number): Answer;
  /** The answer is complete: the provider said what it took. */
  completed(id: string, used: Tokens, atMs: number): void;
  /** The client left: no word of the provider on what it took, only what was seen to go out. */
  hungUp(id: string, outputTokensSeen: number, atMs: number): void;
  /** Every second of virtual time; `deaths` are those up to now whose calls nobody has ended. */
  tick(atMs: number, deaths: readonly Death[]): void;
  /** What is booked for a call, pico-USD. */
  bookedPico(id: string): bigint;
  /** What is set aside for calls, pico-USD. */
  heldPico(): bigint;
}

export const CAPS_PICO: Readonly<Record<Scope, bigint>> = { tenant: 20_000_000_000_000n, key: 14_000_000_000_000n };

/** Three dollars a million tokens of input, fifteen of output. */
export const PRICE_PICO = { input: 3_000_000n, output: 15_000_000n } as const;

export const costPico = ({ input, output }: Tokens): bigint =>
  BigInt(input) * PRICE_PICO.input + BigInt(output) * PRICE_PICO.output;

export const boundPico = ({ inputTokensMax, outputTokensMax }: Asked): bigint =>
  costPico({ input: inputTokensMax, output: outputTokensMax });
