import type { NatsConnection, Subscription } from '@nats-io/transport-node';
import { liveFrame, type LiveFrame, livePattern } from '@reef/contracts';

type End = Extract<LiveFrame, { type: 'end' }>;

const HEARD_WITHIN_MS = 30_000;

export interface Heard {
  readonly frames: readonly LiveFrame[];
  readonly text: string;
  readonly end: End;
}

/** An edge's ear: all live frames of the turns it asked for. */
export class Listener {
  readonly #frames = new Map<string, LiveFrame[]>();
  readonly #changed = new Set<() => void>();
  readonly #subscription: Subscription;

  constructor(
    nats: NatsConnection,
    readonly edgeId: string,
  ) {
    this.#subscription = nats.subscribe(livePattern(edgeId), {
      callback: (_error, message) => {
        const turnId = message.subject.split('.').at(-1) ?? '';
        const frames = this.#frames.get(turnId) ?? [];
        this.#frames.set(turnId, frames);
        frames.push(liveFrame.parse(message.json()));
        for (const look of [...this.#changed]) look();
      },
    });
  }

  framesOf(turnId: string): readonly LiveFrame[] {
    return this.#frames.get(turnId) ?? [];
  }

  textOf(turnId: string): string {
    return this.framesOf(turnId)
      .map((frame) => (frame.type === 'text' ? frame.text : ''))
      .join('');
  }

  /** Resolves with all that a turn said, when it has ended. */
  async heard(turnId: string): Promise<Heard> {
    const end = await this.#when((frames) => frames.find((frame): frame is End => frame.type === 'end'), turnId);
    return { frames: this.framesOf(turnId), text: this.textOf(turnId), end };
  }

  /** Resolves when a turn has said something. */
  async speaks(turnId: string): Promise<void> {
    await this.#when((frames) => frames.find(({ type }) => type === 'text'), turnId);
  }

  close(): void {
    this.#subscription.unsubscribe();
  }

  #when<Value>(find: (frames: readonly LiveFrame[]) => Value | undefined, turnId: string): Promise<Value> {
    return new Promise((resolve, reject) => {
      const done = () => {
        clearTimeout(timer);
        this.#changed.delete(look);
      };
      const look = () => {
        const found = find(this.framesOf(turnId));
        if (found === undefined) return;
        done();
        resolve(found);
      };
      const timer = setTimeout(() => {
        done();
        reject(new Error(`turn ${turnId}: still ${JSON.stringify(this.framesOf(turnId))}`));
      }, HEARD_WITHIN_MS);
      this.#changed.add(look);
      look();
    });
  }
}
