import { afterEach, expect, jest, test } from '@jest/globals';
import type { Periodic } from '@reef/service';
import fc from 'fast-check';
import type { Logger } from 'pino';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { LANE_BOUNDS } from '../domain/lane.js';
import { type Hear, LanePost } from './lane-post.js';
import { Lanes } from './lanes.js';
import { type Claim, Leases } from './leases.js';
import type { LaneAnswer, LaneMessage } from './messages.js';
import { OwnedLanes } from './owned-lanes.js';
import type { Permit } from './permit.js';

// Processes as they are, with a table of leases and a network that the test holds in its hands: it decides what is lost, what
// arrives when (in the order between any two processes, as NATS has it), whose lease ends, and who dies.

const LANE = 'simulator/sim-echo';

class World {
  readonly alive = new Set<string>();
  lease: { owner: string; fence: number; hasEnded: boolean } | null = null;
  readonly ears = new Map<string, Hear>();
  readonly #channels = new Map<string, (() => void)[]>();
  isLossy = false;
  #losses: boolean[] = [];

  set losses(losses: boolean[]) {
    this.#losses = [...losses];
  }

  carry(from: string, to: string, arrives: () => void, isLost: () => void = () => undefined): void {
    const lost = this.isLossy && (this.#losses.shift() ?? false);
    const key = `${from} ${to}`;
    const channel = this.#channels.get(key) ?? [];
    this.#channels.set(key, channel);
    channel.push(() => (lost || !this.alive.has(to) ? isLost() : arrives()));
  }

  /** All that is under way from one process to another arrives, and what that says in answer is under way. */
  async arrive(from: string, to: string): Promise<void> {
    for (const arrives of this.#channels.get(`${from} ${to}`)?.splice(0) ?? []) arrives();
    await turnOfTheLoop();
  }

  /** The oldest message of one of the channels arrives. */
  deliver(which: number): boolean {
    const busy = [...this.#channels.values()].filter(({ length }) => length > 0);
    busy[which % Math.max(1, busy.length)]?.shift()?.();
    return busy.length > 0;
  }
}

class TableOfLeases extends Leases {
  constructor(
    private readonly world: World,
    private readonly me: string,
  ) {
    super(null as never, me);
  }

  override get alive(): ReadonlySet<string> {
    return this.world.alive;
  }

  override fenceOf(): number | null {
    const { lease } = this.world;
    return lease && lease.owner === this.me && !lease.hasEnded ? lease.fence : null;
  }

  override async beat(): Promise<void> {
    // The table is always up to date here.
  }

  override async claim(): Promise<Claim> {
    const { lease } = this.world;
    const alive = new Set(this.world.alive);
    if (lease && !lease.hasEnded && lease.owner !== this.me)
      return { owner: lease.owner, fence: lease.fence, isMine: false, isNew: false, alive };
    const fence = (lease?.fence ?? 0) + 1;
    this.world.lease = { owner: this.me, fence, hasEnded: false };
    return { owner: this.me, fence, isMine: true, isNew: lease === null, alive };
  }
}

class Wire extends LanePost {
  constructor(
    private readonly world: World,
    private readonly me: string,
  ) {
    super(null as never, me, null as never, null as never);
  }

  override async listen(hear: Hear): Promise<void> {
    this.world.ears.set(this.me, hear);
  }

  override request(to: string, message: LaneMessage): Promise<LaneAnswer | null> {
    return new Promise((resolve) => {
      const lost = () => resolve(null);
      const heard = () => {
        const answer = this.world.ears.get(to)?.(this.me, structuredClone(message)) ?? null;
        this.world.carry(to, this.me, () => resolve(answer), lost);
      };
      this.world.carry(this.me, to, heard, lost);
    });
  }

  override send(to: string, message: LaneMessage): void {
    this.world.carry(this.me, to, () => void this.world.ears.get(to)?.(this.me, structuredClone(message)));
  }

  override tellAll(message: LaneMessage): void {
    for (const to of this.world.alive) this.send(to, message);
  }
}

interface Process {
  readonly name: string;
  readonly lanes: Lanes;
  readonly lookAfter: () => Promise<void>;
  readonly permits: Set<Permit>;
}

async function processOf(world: World, name: string, runningMax: number): Promise<Process> {
  world.alive.add(name);
  const leases = new TableOfLeases(world, name);
  const wire = new Wire(world, name);
  const owned = new OwnedLanes(leases, wire, { ...LANE_BOUNDS, runningMax }, name);
  let lookAfter = async () => undefined as void;
  const periodic = { every: (_ms: number, _name: string, work: () => Promise<void>) => void (lookAfter = work) };
  const lanes = new Lanes(leases, owned, wire, periodic as Periodic, name, {
    warn: () => undefined,
  } as unknown as Logger);
  await lanes.onModuleInit();
  return { name, lanes, permits: new Set(), lookAfter: () => lookAfter() };
}

const runningOf = (processes: Iterable<Process>) =>
  [...processes].flatMap(({ permits }) => [...permits]).filter(({ isGranted }) => isGranted);

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ ask: fc.nat({ max: 2 }) }) },
  { weight: 5, arbitrary: fc.record({ end: fc.nat({ max: 20 }) }) },
  { weight: 12, arbitrary: fc.record({ deliver: fc.nat({ max: 8 }) }) },
  { weight: 4, arbitrary: fc.record({ lookAfter: fc.nat({ max: 2 }) }) },
  { weight: 1, arbitrary: fc.constant('lease ends' as const) },
  { weight: 1, arbitrary: fc.record({ kill: fc.nat({ max: 2 }) }) },
);

afterEach(() => void jest.restoreAllMocks());

test('a grant that comes late, from an owner that is no longer one, lets nobody run', async () => {
  const world = new World();
  let nowMs = 1_000_000;
  jest.spyOn(Date, 'now').mockImplementation(() => nowMs);
  const [old, late, next] = await Promise.all(['old', 'late', 'next'].map((name) => processOf(world, name, 1)));
  const ask = async ({ lanes }: Process) => {
    const permit = lanes.ask({ lane: LANE, tenant: 'a', agent: 'main', priority: 0, weight: 1, cost: 100 }) as Permit;
    await turnOfTheLoop();
    return permit;
  };
  const first = await ask(old!);
  const second = await ask(late!);
  await world.arrive('late', 'old');
  await world.arrive('old', 'late');
  const third = await ask(next!);
  await world.arrive('next', 'old');
  await world.arrive('old', 'next');
  first.end(10); // The word that the second one may run is on its way.
  world.lease = { ...world.lease!, hasEnded: true };
  for (const _ of ['not_owner', 'claim']) {
    nowMs += 1_000;
    void next!.lookAfter();
    await turnOfTheLoop();
    await world.arrive('next', 'old');
    await world.arrive('old', 'next');
  }
  await world.arrive('next', 'late');
  await world.arrive('late', 'next');
  expect([second.isGranted, third.isGranted]).toEqual([false, true]);
  await world.arrive('old', 'late');
  expect([second.isGranted, third.isGranted]).toEqual([false, true]);
  third.end(10);
  await world.arrive('next', 'late');
  expect(second.isGranted).toBe(true);
});

test('whatever is lost, late, or dies, no more run than may, and in the end everybody has had a turn', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 80 }),
      fc.array(fc.boolean(), { maxLength: 60 }),
      fc.integer({ min: 1, max: 3 }),
      async (steps, losses, runningMax) => {
        const world = new World();
        let nowMs = 1_000_000;
        jest.spyOn(Date, 'now').mockImplementation(() => nowMs);
        world.isLossy = true;
        world.losses = losses;
        const processes = await Promise.all(['one', 'two', 'three'].map((name) => processOf(world, name, runningMax)));
        const look = () => expect(runningOf(processes).length).toBeLessThanOrEqual(runningMax);
        const ask = ({ lanes, permits }: Process) => {
          const request = { tenant: 'a', agent: 'main', priority: 0, weight: 1, cost: 100 } as const;
          const permit = lanes.ask({ lane: LANE, ...request });
          if (!('retryAfterMs' in permit)) permits.add(permit);
        };
        const end = (which: number) => {
          const all = processes.flatMap((each) => [...each.permits].map((permit) => ({ each, permit })));
          const found = all[which % Math.max(1, all.length)];
          found?.permit.end(10);
          found?.each.permits.delete(found.permit);
        };
        for (const each of steps) {
          nowMs += 100;
          if (each === 'lease ends') world.lease = world.lease && { ...world.lease, hasEnded: true };
          else if ('ask' in each) processes.slice(each.ask).slice(0, 1).forEach(ask);
          else if ('end' in each) end(each.end);
          else if ('deliver' in each) world.deliver(each.deliver);
          else if ('lookAfter' in each) void processes[each.lookAfter]?.lookAfter();
          else if (processes.length > 1 && processes[each.kill]) {
            const [dead] = processes.splice(each.kill, 1);
            world.alive.delete(dead!.name);
            if (world.lease?.owner === dead!.name) world.lease = { ...world.lease, hasEnded: true };
            for (const living of processes) void living.lanes.beat();
          }
          await turnOfTheLoop();
          look();
        }

        // The network is whole again, and time goes on: every turn runs, and every turn ends.
        world.isLossy = false;
        for (let round = 0; processes.some(({ permits }) => permits.size > 0); round++) {
          expect(round).toBeLessThan(200);
          nowMs += 1_000;
          for (const each of processes) void each.lanes.beat().then(() => each.lookAfter());
          for (let count = 0; count < 50; count++) {
            world.deliver(count);
            await turnOfTheLoop();
            look();
          }
          for (const each of processes) {
            for (const permit of each.permits) {
              if (!permit.isGranted) continue;
              permit.end(10);
              each.permits.delete(permit);
            }
          }
        }
      },
    ),
    { numRuns: 1_000 },
  );
}, 60_000);
