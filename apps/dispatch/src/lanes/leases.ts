import { Inject, Injectable } from '@nestjs/common';
import { FEED_DATABASE } from '@reef/service';
import { Pool } from 'pg';
import { WORKER } from '../tokens.js';
import { placeOf } from './worker-name.js';

/** Who was not seen for so long is dead, and what it leased is free, s. */
export const LEASE_S = 9;
/** An owner stops this much before its lease ends: clocks run unevenly, and an answer takes time, ms. */
const MARGIN_MS = 1_000;

export interface Claim {
  readonly owner: string;
  readonly fence: number;
  readonly isMine: boolean;
  /** Nobody had the lane before, so nobody runs anything in it. */
  readonly isNew: boolean;
  /** The processes that live, by the database's clock. */
  readonly alive: ReadonlySet<string>;
}

interface Lease {
  readonly fence: number;
  /** By this process's monotonic clock. */
  readonly untilMs: number;
}

/**
 * Which process owns which lane, and which processes live, by the database's clock. A process's heartbeat renews all its leases, so
 * they end together. Each lease has a higher fence than the one before.
 */
@Injectable()
export class Leases {
  readonly #held = new Map<string, Lease>();
  #alive: ReadonlySet<string> = new Set();
  #beating: Promise<void> = Promise.resolve();
  #hasLeft = false;

  constructor(
    @Inject(FEED_DATABASE) private readonly feed: Pool,
    @Inject(WORKER) private readonly worker: string,
  ) {}

  /** The processes that lived at the last heartbeat, this one among them. */
  get alive(): ReadonlySet<string> {
    return this.#alive;
  }

  /** The fence of a lease that is held now; null where none is, or it may have ended. */
  fenceOf(lane: string): number | null {
    const lease = this.#held.get(lane);
    return lease && performance.now() < lease.untilMs ? lease.fence : null;
  }

  /**
   * Frees what earlier processes in this one's place leased and died with: a supervisor keeps one there at a time, so nobody has to
   * wait until their leases end.
   */
  async bury(): Promise<void> {
    const place = placeOf(this.worker);
    if (place === null) return;
    await this.feed.query(
      `with freed as (update es.lane set expires_at = '-infinity' where starts_with(owner, $1) and owner <> $2)
       delete from es.worker where starts_with(worker, $1) and worker <> $2`,
      [place, this.worker],
    );
  }

  /** Says that this process lives, and renews what it holds; leases that were lost meanwhile are held no longer. */
  beat(): Promise<void> {
    if (!this.#hasLeft) this.#beating = this.#beat();
    return this.#beating;
  }

  async #beat(): Promise<void> {
    const sentMs = performance.now();
    const lanes = [...this.#held.keys()];
    const { rows } = await this.feed.query<{ renewed: { lane: string; fence: number }[]; alive: string[] }>(
      `with beat as (
         insert into es.worker (worker, seen_at) values ($1, clock_timestamp())
         on conflict (worker) do update set seen_at = excluded.seen_at
       ), renewed as (
         update es.lane set expires_at = clock_timestamp() + make_interval(secs => $3)
         where lane = any($2) and owner = $1 and expires_at > clock_timestamp() returning lane, fence
       )
       select (select coalesce(json_agg(renewed), '[]') from renewed) as renewed,
              (select coalesce(array_agg(worker), '{}') from es.worker
               where seen_at > clock_timestamp() - make_interval(secs => $3)) as alive`,
      [this.worker, lanes, LEASE_S],
    );
    const renewed = new Map(rows[0]?.renewed.map(({ lane, fence }) => [lane, fence]));
    for (const lane of lanes) {
      const fence = renewed.get(lane);
      if (fence !== undefined && fence === this.#held.get(lane)?.fence) this.#hold(lane, fence, sentMs);
      else this.#held.delete(lane);
    }
    this.#alive = new Set(rows[0]?.alive).add(this.worker);
  }

  /** Takes the lane if its lease has ended, else tells who has it: a compare-and-set, so one of many that try at once wins. */
  async claim(lane: string): Promise<Claim> {
    if (this.#hasLeft) throw new Error('this process is going and owns nothing any more');
    const sentMs = performance.now();
    const { rows } = await this.feed.query<{
      owner: string;
      fence: string;
      is_mine: boolean;
      is_new: boolean;
      alive: string[];
    }>(
      `with claimed as (
         insert into es.lane as held (lane, owner, fence, expires_at)
         values ($1, $2, floor(extract(epoch from clock_timestamp()) * 1000), clock_timestamp() + make_interval(secs => $3))
         on conflict (lane) do update set owner = excluded.owner, fence = greatest(held.fence + 1, excluded.fence),
           expires_at = excluded.expires_at
         where held.expires_at <= clock_timestamp() or held.owner = excluded.owner
         returning owner, fence, xmax = 0 as is_new
       ), found as (
         select owner, fence, true as is_mine, is_new from claimed
         union all
         select owner, fence, false, false from es.lane where lane = $1 and not exists (select from claimed)
       )
       select found.*, (select coalesce(array_agg(worker), '{}') from es.worker
                        where seen_at > clock_timestamp() - make_interval(secs => $3)) as alive
       from found`,
      [lane, this.worker, LEASE_S],
    );
    const [row] = rows;
    if (!row) return this.claim(lane); // Another one took it between our look and our try; it is there now.
    const fence = Number(row.fence);
    if (row.is_mine) this.#hold(lane, fence, sentMs);
    return { owner: row.owner, fence, isMine: row.is_mine, isNew: row.is_new, alive: new Set(row.alive) };
  }

  /** Gives up a lane in which nobody has anything: as if it had never been. */
  async forget(lane: string): Promise<void> {
    const fence = this.#held.get(lane)?.fence;
    this.#held.delete(lane);
    if (fence === undefined) return;
    await this.feed.query('delete from es.lane where lane = $1 and owner = $2 and fence = $3', [
      lane,
      this.worker,
      fence,
    ]);
  }

  /** This process is going: others need not wait until its leases end, nor for a word from it. */
  async leave(): Promise<void> {
    this.#hasLeft = true;
    this.#held.clear();
    await this.#beating.catch(() => undefined); // A heartbeat that is on its way would bring it back to life.
    await this.feed.query(
      `with freed as (update es.lane set expires_at = '-infinity' where owner = $1)
       delete from es.worker where worker = $1`,
      [this.worker],
    );
  }

  #hold(lane: string, fence: number, sentMs: number): void {
    this.#held.set(lane, { fence, untilMs: sentMs + LEASE_S * 1_000 - MARGIN_MS });
  }
}
