import { ALIVE_EVERY_MS, type LiveFrame, livePattern, type Refusal } from '@reef/contracts';
import { newId } from '@reef/messaging';
import type { NatsConnection, Subscription } from '@nats-io/transport-node';
import { setTimeout as sleep } from 'node:timers/promises';
import { refused } from '../http/refusals.js';
import { LIMITS } from '../limits.js';

export const SILENCE_MS = 3 * ALIVE_EVERY_MS;
const SWEEP_EVERY_MS = 1_000;

/** Who hears what a turn says. */
export interface Listener {
  onFrame(frame: LiveFrame): void;
  /** Frames were lost or stopped coming: what was heard is not the whole. Nothing follows. */
  onLost(refusal: Refusal): void;
}

interface Followed {
  readonly tenant: string;
  readonly listener: Listener;
  readonly startedAtMs: number;
  nextSeq: number;
  heardAtMs: number;
}

export interface Place {
  leave(): void;
}

/** All live turns of this process, on one subscription; also counts the streams that are open. */
export class LiveTurns {
  readonly edgeId = newId().replaceAll('-', '');
  readonly #turns = new Map<string, Followed>();
  readonly #places = new Set<{ onDrain: () => void }>();
  #subscription: Subscription | null = null;
  #sweeping: NodeJS.Timeout | null = null;
  #draining = false;

  constructor(private readonly nats: NatsConnection) {}

  async start(): Promise<void> {
    this.#subscription = this.nats.subscribe(livePattern(this.edgeId), {
      callback: (error, message) => {
        if (!error) this.#deliver(message.subject, message.string());
      },
    });
    this.#sweeping = setInterval(() => this.#sweep(Date.now()), SWEEP_EVERY_MS);
    await this.nats.flush(); // Dispatch must not answer into a subscription the broker does not know yet.
  }

  get openStreams(): number {
    return this.#places.size;
  }

  /** A place among the open streams, or null when all are taken or this process is stopping. */
  takePlace(onDrain: () => void): Place | null {
    if (this.#draining || this.#places.size >= LIMITS.openStreams) return null;
    const place = { onDrain };
    this.#places.add(place);
    return { leave: () => this.#places.delete(place) };
  }

  isFollowing(turnId: string): boolean {
    return this.#turns.has(turnId);
  }

  /** Hears a turn from now on. Must be called before the turn is started, or its first words are missed. */
  follow(tenant: string, turnId: string, listener: Listener): void {
    const nowMs = Date.now();
    this.#turns.set(turnId, { tenant, listener, startedAtMs: nowMs, nextSeq: 0, heardAtMs: nowMs });
  }

  unfollow(turnId: string): void {
    this.#turns.delete(turnId);
  }

  /** Lets what is running end (15 s at most), then tells the rest that this process is stopping. */
  async stop(): Promise<void> {
    this.#draining = true;
    const giveUpMs = Date.now() + LIMITS.drainMs;
    for (const { onDrain } of this.#places) onDrain();
    while (this.#turns.size > 0 && Date.now() < giveUpMs) await sleep(20);
    for (const turnId of [...this.#turns.keys()])
      this.#lose(turnId, refused('unavailable', 'this instance is being stopped'));
    if (this.#sweeping) clearInterval(this.#sweeping);
    this.#subscription?.unsubscribe();
  }

  #deliver(subject: string, text: string): void {
    // tenant.{tenant}.dispatch.live.{edgeId}.{turnId}
    const tenant = subject.slice(7, subject.indexOf('.', 7));
    const turnId = subject.slice(subject.lastIndexOf('.') + 1);
    const turn = this.#turns.get(turnId);
    if (!turn || turn.tenant !== tenant) return;
    const frame = JSON.parse(text) as LiveFrame;
    if (frame.seq !== turn.nextSeq) {
      if (frame.seq < turn.nextSeq) return; // Said before.
      return this.#lose(turnId, refused('stream_broken', 'a part of the answer was lost on its way'));
    }
    turn.nextSeq = frame.seq + 1;
    turn.heardAtMs = Date.now();
    if (frame.type === 'end') this.#turns.delete(turnId);
    turn.listener.onFrame(frame);
  }

  #sweep(nowMs: number): void {
    for (const [turnId, turn] of this.#turns) {
      if (nowMs - turn.heardAtMs > SILENCE_MS) this.#lose(turnId, refused('stream_broken', 'the turn fell silent'));
      else if (nowMs - turn.startedAtMs > LIMITS.turnMs)
        this.#lose(turnId, refused('deadline_exceeded', 'the turn took too long'));
    }
  }

  #lose(turnId: string, refusal: Refusal): void {
    const turn = this.#turns.get(turnId);
    this.#turns.delete(turnId);
    turn?.listener.onLost(refusal);
  }
}
