import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { newId } from '@reef/messaging';
import { InjectLogger, Periodic } from '@reef/service';
import type { Logger } from 'pino';
import { WORKER } from '../tokens.js';
import { LanePost } from './lane-post.js';
import { Leases } from './leases.js';
import { announcedOf, type Entry, type Link, linkTo, requestOf, turnOf } from './link.js';
import type { LaneAnswer, LaneMessage, LaneTurn } from './messages.js';
import { OwnedLanes } from './owned-lanes.js';
import type { Decided, Permit, PermitRequest } from './permit.js';

/** How often a process looks after the lanes it uses, ms. */
const LOOK_AFTER_MS = 500;
/** How often it tells an owner elsewhere what it has there, ms. */
const ANNOUNCE_EVERY_MS = 1_000;
/** Lanes that one process knows; those in which it has nothing make room. */
export const LANES_MAX = 1_000;
/** A lane in which nobody has anything is given up after this time, ms. */
const IDLE_MS = 600_000;
const NO_ROOM_RETRY_MS = 1_000;

/**
 * Where turns get permits to use a model. One process owns a lane; asked in that process, it answers at once and without a
 * message. Whatever is lost on the way, or with an owner, is made good by saying again what one has.
 */
@Injectable()
export class Lanes implements OnModuleInit {
  readonly #links = new Map<string, Link>();

  constructor(
    private readonly leases: Leases,
    private readonly owned: OwnedLanes,
    private readonly post: LanePost,
    private readonly periodic: Periodic,
    @Inject(WORKER) private readonly worker: string,
    @InjectLogger() private readonly logger: Logger,
  ) {}

  async onModuleInit(): Promise<void> {
    this.owned.onGranted((lane, fence, id) => this.#granted(this.worker, { lane, fence, ids: [id] }));
    await this.post.listen((from, message) => this.#hear(from, message));
    this.periodic.every(LOOK_AFTER_MS, 'look after lanes', () => this.#lookAfter());
  }

  /** The first thing a process does. */
  async arrive(): Promise<void> {
    await this.leases.bury();
    await this.beat();
  }

  /** Says that this process lives, and learns who else does. */
  async beat(): Promise<void> {
    await this.leases.beat();
    this.owned.keepOnly(this.leases.alive);
  }

  /** The last thing a process does that stops. */
  async leave(): Promise<void> {
    this.post.close();
    await this.leases.leave();
  }

  /** Asks for a permit; `end` must follow. Where it is known at once that the wait would be too long, says when to ask again. */
  ask({ lane, ...request }: PermitRequest): Permit | { readonly retryAfterMs: number } {
    const link = this.#linkOf(lane);
    if (!link) return { retryAfterMs: NO_ROOM_RETRY_MS };
    const untilMs = link.refusedUntilMs.get(request.tenant) ?? 0;
    if (untilMs > Date.now()) return { retryAfterMs: untilMs - Date.now() };

    const turn: LaneTurn = { id: newId(), ...request };
    const { promise: decided, resolve: decide } = Promise.withResolvers<Decided>();
    const entry: Entry = { ...turn, worker: this.worker, isRunning: false, decide };
    link.entries.set(turn.id, entry);
    link.usedAtMs = Date.now();
    const answer = this.owned.ask(lane, requestOf(entry));
    if (answer && 'retryAfterMs' in answer) {
      link.entries.delete(turn.id);
      return answer;
    }
    if (!answer) void this.#askAbroad(link, entry, turn);
    return {
      decided,
      get isGranted() {
        return entry.isRunning;
      },
      mustWait: answer?.status === 'waiting',
      report: (report) => {
        if (this.owned.fenceOf(lane) !== null) this.owned.report(lane, report);
        else this.#tell(link, (fence) => ({ type: 'report', lane, fence, report }));
      },
      end: (used) => {
        if (link.entries.delete(turn.id)) this.#end(link, turn.id, used);
        decide({ status: 'ended' });
      },
    };
  }

  async #askAbroad(link: Link, entry: Entry, turn: LaneTurn): Promise<void> {
    const { lane, owner } = link;
    if (owner && owner.worker !== this.worker) {
      const answer = await this.post.request(owner.worker, { type: 'ask', lane, fence: owner.fence, turn });
      if (answer?.status === 'granted')
        return this.#granted(owner.worker, { lane, fence: owner.fence, ids: [turn.id] });
      if (answer?.status === 'waiting') return;
      if (answer?.status === 'refused') return this.#refused(link, entry, answer.retryAfterMs);
      if (link.owner === owner) link.owner = null;
    }
    // The turn is among the link's, so whoever is found to be the owner hears of it.
    await this.#locate(link).catch((error: unknown) =>
      this.logger.warn({ err: error, lane }, 'a lane has no owner yet'),
    );
  }

  #refused(link: Link, entry: Entry, retryAfterMs: number): void {
    if (link.refusedUntilMs.size >= LANES_MAX) link.refusedUntilMs.clear();
    link.refusedUntilMs.set(entry.tenant, Date.now() + retryAfterMs);
    link.entries.delete(entry.id);
    entry.decide({ status: 'refused', retryAfterMs });
  }

  #end(link: Link, id: string, used: number | null): void {
    const { lane } = link;
    link.usedAtMs = Date.now();
    if (this.owned.fenceOf(lane) !== null) this.owned.end(lane, id, used);
    else {
      link.hasEnded = true;
      this.#tell(link, (fence) => ({ type: 'end', lane, fence, id, used }));
    }
  }

  #tell({ owner }: Link, message: (fence: number) => LaneMessage): void {
    if (owner && owner.worker !== this.worker) this.post.send(owner.worker, message(owner.fence));
  }

  /** Finds out who owns a lane, which may be this process from now on, and tells the owner what is here. */
  #locate(link: Link): Promise<void> {
    link.locating ??= this.#claim(link).finally(() => (link.locating = null));
    return link.locating;
  }

  async #claim(link: Link): Promise<void> {
    const { lane } = link;
    const { owner, fence, isMine, isNew, alive } = await this.leases.claim(lane);
    link.owner = { worker: owner, fence };
    if (isMine) this.owned.take(lane, fence, isNew ? [] : alive);
    await this.#announce(link);
  }

  async #announce(link: Link): Promise<void> {
    const { lane, owner } = link;
    if (!owner) return;
    link.announcedAtMs = Date.now();
    link.hasEnded = false;
    const entries = [...link.entries.values()];
    if (owner.worker === this.worker) {
      const granted = this.owned.announce(lane, this.worker, entries.map(announcedOf));
      if (granted) this.#granted(this.worker, { lane, fence: owner.fence, ids: granted });
      else link.owner = null;
      return;
    }
    const turns = entries.map(({ isRunning, ...entry }) => ({ ...turnOf(entry), isRunning }));
    const answer = await this.post.request(owner.worker, { type: 'announce', lane, fence: owner.fence, turns });
    if (answer?.status === 'heard')
      return this.#granted(owner.worker, { lane, fence: owner.fence, ids: answer.granted });
    link.hasEnded = true;
    if (link.owner === owner) link.owner = null;
  }

  /** A grant counts only under the lease that is known: one of an earlier lease is not known to the owner of this one. */
  #granted(from: string, { lane, fence, ids }: { lane: string; fence: number; ids: readonly string[] }): void {
    const link = this.#links.get(lane);
    const isOwn = from === this.worker && this.owned.fenceOf(lane) === fence;
    if (!link || !(isOwn || (link.owner?.worker === from && link.owner.fence === fence))) return;
    for (const id of ids) {
      const entry = link.entries.get(id);
      if (!entry)
        this.#end(link, id, 0); // It left the queue before it heard.
      else if (!entry.isRunning) {
        entry.isRunning = true;
        entry.decide({ status: 'granted' });
      }
    }
  }

  #hear(from: string, message: LaneMessage): LaneAnswer | null {
    const { lane, fence } = message;
    if (message.type === 'granted') {
      this.#granted(from, message);
      return null;
    }
    if (message.type === 'owned') {
      this.#newOwner(from, lane, fence);
      return null;
    }
    if (this.owned.fenceOf(lane) !== fence) return { status: 'not_owner' };
    switch (message.type) {
      case 'ask': {
        const answer = this.owned.ask(lane, { ...message.turn, worker: from });
        if (!answer) return { status: 'not_owner' };
        return 'status' in answer ? answer : { status: 'refused', ...answer };
      }
      case 'announce': {
        const turns = message.turns.map((turn) => ({ ...turn, worker: from }));
        const granted = this.owned.announce(lane, from, turns);
        return granted ? { status: 'heard', granted } : { status: 'not_owner' };
      }
      case 'end':
        this.owned.end(lane, message.id, message.used);
        return null;
      case 'report':
        this.owned.report(lane, message.report);
        return null;
    }
  }

  /** It waits for a word from everybody, also from those that have nothing in its lane. */
  #newOwner(worker: string, lane: string, fence: number): void {
    if (worker === this.worker) return;
    const link = this.#links.get(lane);
    if (!link) return this.post.send(worker, { type: 'announce', lane, fence, turns: [] });
    if ((link.owner?.fence ?? 0) > fence) return;
    link.owner = { worker, fence };
    void this.#announce(link);
  }

  async #lookAfter(): Promise<void> {
    this.owned.askMissing();
    const nowMs = Date.now();
    for (const link of this.#links.values())
      if (this.#isIdle(link) && nowMs - link.usedAtMs > IDLE_MS) this.#forget(link);
    const inUse = [...this.#links.values()].filter(({ entries, hasEnded }) => entries.size > 0 || hasEnded);
    await Promise.all(inUse.map((link) => this.#lookAfterOne(link, nowMs)));
  }

  async #lookAfterOne(link: Link, nowMs: number): Promise<void> {
    const { lane, owner } = link;
    if (this.owned.fenceOf(lane) !== null) return;
    if (!owner || owner.worker === this.worker) await this.#locate(link);
    else if (nowMs - link.announcedAtMs >= ANNOUNCE_EVERY_MS) await this.#announce(link);
  }

  #linkOf(lane: string): Link | null {
    const known = this.#links.get(lane);
    if (known) return known;
    if (this.#links.size >= LANES_MAX) {
      const idle = [...this.#links.values()].find((link) => this.#isIdle(link));
      if (!idle) return null;
      this.#forget(idle);
    }
    const link = linkTo(lane, Date.now());
    this.#links.set(lane, link);
    return link;
  }

  #isIdle({ lane, entries, hasEnded, locating }: Link): boolean {
    return entries.size === 0 && !hasEnded && locating === null && this.owned.isEmpty(lane);
  }

  #forget({ lane }: Link): void {
    this.#links.delete(lane);
    this.owned.drop(lane);
    // What is not deleted now ends by itself, because nothing renews it.
    this.leases
      .forget(lane)
      .catch((error: unknown) => this.logger.warn({ err: error, lane }, 'a lane was not given up'));
  }
}
