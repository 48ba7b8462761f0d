import {
  type AdaptiveLimit,
  adaptiveLimit,
  allowedAt,
  changesAtMs,
  observe,
  type RateLimitReport,
} from './adaptive-limit.js';
import { FairQueue, type Waiting } from './fair-queue.js';

/** A turn that wants a permit, and the process that will run it. */
export interface LaneRequest extends Waiting {
  readonly worker: string;
}

/** As a process tells it to a new owner. */
export interface Announced extends LaneRequest {
  readonly isRunning: boolean;
}

/** Turns that run at once in a lane, unless the deployment says otherwise. */
export const LANE_RUNNING_MAX = 600;
/** Turns that wait in a lane, over all processes; more are refused. */
export const LANE_WAITING_MAX = 4_000;
/** Of those, one tenant's. */
export const LANE_WAITING_PER_TENANT_MAX = 500;
/** Who would wait longer than this is refused, ms: half of the time a turn has. */
export const EXPECTED_WAIT_MAX_MS = 300_000;
/** Limits of what a refused caller is told to wait, ms. */
export const RETRY_AFTER_MIN_MS = 250;
export const RETRY_AFTER_MAX_MS = 60_000;
/** Weight of the newest turn in the mean time that a turn holds its permit. */
const HOLD_SMOOTHING = 0.1;

export interface LaneBounds {
  readonly runningMax: number;
  readonly waitingMax: number;
  readonly waitingPerTenantMax: number;
}

export const LANE_BOUNDS: LaneBounds = {
  runningMax: LANE_RUNNING_MAX,
  waitingMax: LANE_WAITING_MAX,
  waitingPerTenantMax: LANE_WAITING_PER_TENANT_MAX,
};

/** One model of one provider's key: who runs, who waits, and how many the provider bears. Its owner alone asks it. */
export class Lane {
  readonly #queue = new FairQueue<LaneRequest>();
  readonly #running = new Map<string, { readonly request: LaneRequest; readonly sinceMs: number }>();
  /** What waits, of each process. */
  readonly #waiting = new Map<string, LaneRequest>();
  #limit: AdaptiveLimit;
  #holdMs: number | null = null;

  constructor(private readonly bounds: LaneBounds = LANE_BOUNDS) {
    this.#limit = adaptiveLimit(bounds.runningMax);
  }

  get running(): number {
    return this.#queue.running;
  }

  get waiting(): number {
    return this.#queue.waiting;
  }

  get isEmpty(): boolean {
    return this.running + this.waiting === 0;
  }

  isRunning(id: string): boolean {
    return this.#queue.isRunning(id);
  }

  /** Lets a turn wait for its permit, unless the wait would be too long. @returns when it is worth to ask again, or null. */
  ask(request: LaneRequest, nowMs: number): { readonly retryAfterMs: number } | null {
    if (this.#queue.isWaiting(request.id) || this.#queue.isRunning(request.id)) return null;
    const mayRunNow = this.waiting === 0 && this.running < allowedAt(this.#limit, nowMs);
    if (!mayRunNow) {
      const ofTenant = this.#queue.waitingOf(request.tenant);
      const { waitingMax, waitingPerTenantMax } = this.bounds;
      const expectedMs = this.#expectedWaitMs(request, nowMs);
      const isFull = this.waiting >= waitingMax || ofTenant >= waitingPerTenantMax;
      // When half of what is before it has gone, there is room for many, and nobody needs to ask each second.
      if (isFull || expectedMs > EXPECTED_WAIT_MAX_MS) return { retryAfterMs: clamped(expectedMs / 2) };
    }
    this.#add(request);
    return null;
  }

  /** Everybody who may run now, the fairest first; they run from now on. */
  grant(nowMs: number): LaneRequest[] {
    const granted: LaneRequest[] = [];
    const allowed = allowedAt(this.#limit, nowMs);
    while (this.running < allowed) {
      const request = this.#queue.take();
      if (!request) break;
      this.#waiting.delete(request.id);
      this.#running.set(request.id, { request, sinceMs: nowMs });
      granted.push(request);
    }
    return granted;
  }

  /** A turn has ended, or waits no longer. @param used weighted tokens; null: unknown. Hearing it twice changes nothing. */
  end(id: string, used: number | null, nowMs: number): void {
    const ran = this.#running.get(id);
    if (ran && used !== 0) {
      const heldMs = nowMs - ran.sinceMs;
      this.#holdMs = this.#holdMs === null ? heldMs : this.#holdMs + HOLD_SMOOTHING * (heldMs - this.#holdMs);
    }
    this.#running.delete(id);
    this.#waiting.delete(id);
    this.#queue.remove(id);
    this.#queue.settle(id, used);
  }

  observe(report: RateLimitReport, nowMs: number): void {
    this.#limit = observe(this.#limit, report, { running: this.running, nowMs });
  }

  /**
   * All that a process has here, as it says: what is not among it has ended unheard. What it runs is counted, though it be more than
   * the limit; what it has waiting waits, though the queue be full: it was let in before.
   * @returns of what it believes to be waiting, that which may run: it has not heard so.
   */
  announce(worker: string, announced: readonly Announced[], nowMs: number): string[] {
    const ids = new Set(announced.map(({ id }) => id));
    for (const id of this.#idsOf(worker)) if (!ids.has(id)) this.end(id, null, nowMs);
    const unheard: string[] = [];
    for (const { isRunning, ...request } of announced) {
      if (this.isRunning(request.id)) {
        if (!isRunning) unheard.push(request.id);
      } else if (isRunning) {
        this.#waiting.delete(request.id);
        this.#queue.adopt(request);
        this.#running.set(request.id, { request, sinceMs: nowMs });
      } else this.#add(request);
    }
    return unheard;
  }

  /** Frees what processes hold that are dead. @returns whether there was any. */
  keepOnly(alive: ReadonlySet<string>, nowMs: number): boolean {
    const workers = [...this.#running.values()].map(({ request }) => request.worker);
    const dead = new Set([...workers, ...[...this.#waiting.values()].map(({ worker }) => worker)]).difference(alive);
    for (const worker of dead) for (const id of this.#idsOf(worker)) this.end(id, null, nowMs);
    return dead.size > 0;
  }

  /** When somebody may be let in though nothing ends; null while nobody waits or no pause is under way. */
  wakesAtMs(nowMs: number): number | null {
    return this.waiting > 0 ? changesAtMs(this.#limit, nowMs) : null;
  }

  #add(request: LaneRequest): void {
    this.#queue.add(request);
    this.#waiting.set(request.id, request);
  }

  #idsOf(worker: string): string[] {
    const running = [...this.#running.values()].map(({ request }) => request);
    return [...running, ...this.#waiting.values()].filter((each) => each.worker === worker).map(({ id }) => id);
  }

  /** By the tenant's share of the permits that become free, as turns have lasted so far; 0 while none has ended. */
  #expectedWaitMs({ tenant, weight }: LaneRequest, nowMs: number): number {
    const pauseMs = Math.max(0, this.#limit.pausedUntilMs - nowMs);
    const before = Math.min(
      this.waiting + 1,
      (this.#queue.waitingOf(tenant) + 1) / this.#queue.shareOf(tenant, weight),
    );
    return pauseMs + ((this.#holdMs ?? 0) / Math.max(1, Math.floor(this.#limit.allowed))) * before;
  }
}

const clamped = (ms: number) => Math.round(Math.min(RETRY_AFTER_MAX_MS, Math.max(RETRY_AFTER_MIN_MS, ms)));
