/** Gives a model call up that says nothing for too long: before its first event, or between two. */
export class Silence {
  #timer: NodeJS.Timeout | undefined;
  #giveUp: () => void = () => undefined;
  #spoken = false;
  /** Whether the call was given up. */
  tooLong = false;

  constructor(private readonly limits: { firstChunkMaxMs: number; stallMaxMs: number }) {}

  begin(giveUp: () => void): void {
    this.#giveUp = () => {
      this.tooLong = true;
      giveUp();
    };
    this.#timer = setTimeout(this.#giveUp, this.limits.firstChunkMaxMs);
  }

  /** Something was said. */
  end(): void {
    if (this.#spoken) return void this.#timer?.refresh();
    this.#spoken = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#giveUp, this.limits.stallMaxMs);
  }

  /** The call is over. */
  forget(): void {
    clearTimeout(this.#timer);
  }
}
