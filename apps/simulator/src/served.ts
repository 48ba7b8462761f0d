/** One answer as far as it went out. */
export interface ServedCall {
  /** What the script called it; null where it did not. */
  readonly label: string | null;
  readonly promptTokens: number;
  /** Written to the client; for an answer that was finished, what it was told it used. */
  readonly completionTokens: number;
  readonly end: 'finished' | 'dropped' | 'aborted' | 'running';
}

const rememberedMax = 20_000;

/** The newest answers one by one, to be compared with a ledger call by call. */
export class ServedCalls {
  readonly #calls = new Map<number, ServedCall>();
  #last = 0;

  /** @returns what to call with what is new about this answer. */
  begin(label: string | undefined, promptTokens: number): (news: Partial<ServedCall>) => void {
    const number = ++this.#last;
    let call: ServedCall = { label: label ?? null, promptTokens, completionTokens: 0, end: 'running' };
    this.#calls.set(number, call);
    this.#calls.delete(number - rememberedMax);
    return (news) => {
      call = { ...call, ...news };
      if (this.#calls.has(number)) this.#calls.set(number, call);
    };
  }

  all(): readonly ServedCall[] {
    return [...this.#calls.values()];
  }
}
