import { Inject, Injectable } from '@nestjs/common';
import type { RateLimitReport } from '../domain/adaptive-limit.js';
import { type Announced, Lane, type LaneBounds, type LaneRequest } from '../domain/lane.js';
import { BOUNDS, WORKER } from '../tokens.js';
import { LanePost } from './lane-post.js';
import { Leases } from './leases.js';

interface Owned {
  readonly lane: Lane;
  readonly fence: number;
  /** Processes that may run something here and have not said so yet; while there are any, nobody is let in. */
  readonly missing: Set<string>;
  timer: NodeJS.Timeout | null;
}

/** The lanes that this process owns: here alone it is decided who runs in them, and only while the lease lasts. */
@Injectable()
export class OwnedLanes {
  readonly #lanes = new Map<string, Owned>();
  #onGranted: (lane: string, fence: number, id: string) => void = () => undefined;

  constructor(
    private readonly leases: Leases,
    private readonly post: LanePost,
    @Inject(BOUNDS) private readonly bounds: LaneBounds,
    @Inject(WORKER) private readonly worker: string,
  ) {}

  /** Who is told of grants to turns of this very process. */
  onGranted(told: (lane: string, fence: number, id: string) => void): void {
    this.#onGranted = told;
  }

  /** The fence under which this process owns the lane; null where it does not. */
  fenceOf(name: string): number | null {
    return this.#owned(name)?.fence ?? null;
  }

  isEmpty(name: string): boolean {
    return this.#owned(name)?.lane.isEmpty ?? true;
  }

  /** @param missing processes whose turns may run in it: those that live, where it was another's before. */
  take(name: string, fence: number, missing: Iterable<string>): void {
    this.drop(name);
    const owned: Owned = { lane: new Lane(this.bounds), fence, missing: new Set(missing), timer: null };
    owned.missing.delete(this.worker);
    this.#lanes.set(name, owned);
    if (owned.missing.size > 0) this.post.tellAll({ type: 'owned', lane: name, fence });
  }

  drop(name: string): void {
    clearTimeout(this.#lanes.get(name)?.timer ?? undefined);
    this.#lanes.delete(name);
  }

  /** @returns when to ask again where it is refused; whether it runs is asked with `isRunning`. Null: not ours. */
  ask(name: string, request: LaneRequest): { status: 'granted' | 'waiting' } | { retryAfterMs: number } | null {
    const owned = this.#owned(name);
    if (!owned) return null;
    const refused = owned.lane.ask(request, Date.now());
    if (refused) return refused;
    this.#grant(name, owned, request.id);
    return { status: owned.lane.isRunning(request.id) ? 'granted' : 'waiting' };
  }

  end(name: string, id: string, used: number | null): void {
    const owned = this.#owned(name);
    owned?.lane.end(id, used, Date.now());
    if (owned) this.#grant(name, owned);
  }

  report(name: string, report: RateLimitReport): void {
    const owned = this.#owned(name);
    owned?.lane.observe(report, Date.now());
    if (owned) this.#grant(name, owned);
  }

  /** @returns of what the process has waiting, that which may run. Null: the lane is not ours. */
  announce(name: string, worker: string, turns: readonly Announced[]): string[] | null {
    const owned = this.#owned(name);
    if (!owned) return null;
    const granted = owned.lane.announce(worker, turns, Date.now());
    owned.missing.delete(worker);
    this.#grant(name, owned);
    return granted;
  }

  /** What dead processes had is free, and nobody waits for their word. */
  keepOnly(alive: ReadonlySet<string>): void {
    for (const [name, owned] of this.#lanes) {
      for (const worker of owned.missing) if (!alive.has(worker)) owned.missing.delete(worker);
      owned.lane.keepOnly(alive, Date.now());
      this.#grant(name, owned);
    }
  }

  /** Asks those again that have not said what they run: the first word may be lost. */
  askMissing(): void {
    for (const [name, { fence, missing }] of this.#lanes)
      if (missing.size > 0) this.post.tellAll({ type: 'owned', lane: name, fence });
  }

  /** Lets in whoever may run. @param asking is told by the answer to its question. */
  #grant(name: string, owned: Owned, asking?: string): void {
    if (owned.missing.size > 0 || this.#owned(name) !== owned) return;
    const { lane, fence } = owned;
    const nowMs = Date.now();
    const abroad = new Map<string, string[]>();
    for (const { id, worker } of lane.grant(nowMs)) {
      if (worker === this.worker) this.#onGranted(name, fence, id);
      else if (id !== asking) abroad.set(worker, [...(abroad.get(worker) ?? []), id]);
    }
    for (const [worker, ids] of abroad) this.post.send(worker, { type: 'granted', lane: name, fence, ids });
    this.#wakeLater(name, owned, nowMs);
  }

  /** When a provider's pause ends, nothing else happens that would let anybody in. */
  #wakeLater(name: string, owned: Owned, nowMs: number): void {
    clearTimeout(owned.timer ?? undefined);
    const wakesAtMs = owned.lane.wakesAtMs(nowMs);
    owned.timer = wakesAtMs === null ? null : setTimeout(() => this.#grant(name, owned), wakesAtMs - nowMs + 1);
    owned.timer?.unref();
  }

  /** Nothing is ours whose lease has ended, or went to another and came back. */
  #owned(name: string): Owned | null {
    const owned = this.#lanes.get(name);
    if (!owned) return null;
    if (this.leases.fenceOf(name) === owned.fence) return owned;
    this.drop(name);
    return null;
  }
}
