import type { NatsConnection } from '@nats-io/transport-node';
import { ALIVE_EVERY_MS, type LiveFrame, liveSubject } from '@reef/contracts';

/** Text that arrives within this time of the last frame travels with the next one. */
const COALESCE_MS = 10;
/** Characters that are sent at once, however soon. */
const FRAME_CHARACTERS_MAX = 16_000;

type WithoutSeq<Frame> = Frame extends unknown ? Omit<Frame, 'seq'> : never;

/**
 * A turn's output on its way to the edge that asked for it. The first piece goes at once, later ones together: what a frame
 * costs is the message, not its bytes.
 */
export class LiveStream {
  readonly #subject: string;
  #seq = 0;
  #text = '';
  #sentAtMs = 0;
  #timer: NodeJS.Timeout | null = null;
  #alive: NodeJS.Timeout;
  /** Frames of a turn whose request is not written yet; null when it is. */
  #held: WithoutSeq<LiveFrame>[] | null = null;

  constructor(
    private readonly nats: NatsConnection,
    tenant: string,
    edgeId: string,
    turnId: string,
  ) {
    this.#subject = liveSubject(tenant, edgeId, turnId);
    this.#alive = setInterval(() => this.#send({ type: 'alive' }), ALIVE_EVERY_MS);
  }

  /** From here on nothing is heard, because nobody knows yet whether there will be a turn; `begin` or `discard` must follow. */
  hold(): void {
    this.#held = [];
  }

  begin(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const frame of held) this.#send(frame);
  }

  text(piece: string): void {
    this.#text += piece;
    const sinceMs = performance.now() - this.#sentAtMs;
    if (sinceMs >= COALESCE_MS || this.#text.length >= FRAME_CHARACTERS_MAX) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), COALESCE_MS - sinceMs);
  }

  admitted({ pressure, rates }: Omit<Extract<LiveFrame, { type: 'admitted' }>, 'seq' | 'type'>): void {
    this.#send({ type: 'admitted', pressure, rates });
  }

  tool(name: string, state: 'called' | 'done' | 'failed'): void {
    this.#flush();
    this.#send({ type: 'tool', name, state });
  }

  /** The last frame; nothing may follow it. */
  end(frame: Omit<Extract<LiveFrame, { type: 'end' }>, 'seq' | 'type'>): void {
    this.#flush();
    clearInterval(this.#alive);
    this.#send({ type: 'end', ...frame });
  }

  /** Nobody will hear of this turn from here. */
  discard(): void {
    clearInterval(this.#alive);
  }

  #flush(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#text === '') return;
    const text = this.#text;
    this.#text = '';
    this.#sentAtMs = performance.now();
    this.#send({ type: 'text', text });
  }

  #send(frame: WithoutSeq<LiveFrame>): void {
    if (this.#held) {
      this.#held.push(frame);
      return;
    }
    if (this.nats.isClosed()) return; // Nobody can be told; the log has the turn.
    this.nats.publish(this.#subject, JSON.stringify({ ...frame, seq: this.#seq++ }));
  }
}
