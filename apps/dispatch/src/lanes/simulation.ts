import { LANE_BOUNDS, Lane } from '../domain/lane.js';

// A lane in virtual time, for the benchmark and the tests: the queue is the real one, turns and the provider are numbers.

/** What decides who runs next. */
export interface Discipline {
  /** Lets a turn wait; false where it is refused. */
  offer(turn: SimulatedTurn, nowMs: number): boolean;
  /** Everybody who may run now. */
  grant(nowMs: number): readonly SimulatedTurn[];
  end(turn: SimulatedTurn, nowMs: number): void;
  /** When somebody may run though nothing ends. */
  wakesAtMs(nowMs: number): number | null;
}

export interface SimulatedTenant {
  readonly name: string;
  readonly weight: number;
  /** Turns are spread over so many agents. */
  readonly agents: number;
  /** Turns kept open at any time; or turns that come a second, at random (a Poisson process). */
  readonly load: { readonly open: number } | { readonly perSecond: number };
  /** Tokens of a turn: from half as many to one and a half times as many. */
  readonly tokens: number;
  readonly startsAtMs?: number;
}

export interface SimulatedTurn {
  readonly id: string;
  readonly tenant: SimulatedTenant;
  readonly agent: string;
  readonly arrivedMs: number;
  readonly tokens: number;
}

export interface SimulatedRun {
  readonly tenant: string;
  readonly arrivedMs: number;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly tokens: number;
}

export interface Simulation {
  readonly runs: readonly SimulatedRun[];
  readonly refused: ReadonlyMap<string, number>;
}

/** What dispatch sets aside for a turn, tokens: far more than most use. */
const ESTIMATE = 4_096;
const TOKENS_PER_SECOND = 100;
const FIRST_TOKEN_MS = 200;

export const durationMs = (tokens: number) => FIRST_TOKEN_MS + (tokens / TOKENS_PER_SECOND) * 1_000;

/** Plays so many seconds; the same seed plays the same. */
export function simulate(
  tenants: readonly SimulatedTenant[],
  discipline: Discipline,
  { seconds, seed }: { seconds: number; seed: number },
): Simulation {
  const random = randomOf(seed);
  const agenda = new Agenda();
  const runs: SimulatedRun[] = [];
  const refused = new Map<string, number>();
  const endMs = seconds * 1_000;
  let turns = 0;
  let wakesAtMs = Infinity;

  const grant = (nowMs: number) => {
    for (const turn of discipline.grant(nowMs)) {
      const endedMs = nowMs + durationMs(turn.tokens);
      const { tenant, arrivedMs, tokens } = turn;
      runs.push({ tenant: tenant.name, arrivedMs, startedMs: nowMs, endedMs, tokens });
      agenda.add(endedMs, (atMs) => {
        discipline.end(turn, atMs);
        if ('open' in tenant.load) offer(tenant, atMs);
        grant(atMs);
      });
    }
    const wakeMs = discipline.wakesAtMs(nowMs);
    if (wakeMs === null || (wakesAtMs > nowMs && wakesAtMs <= wakeMs)) return;
    wakesAtMs = wakeMs;
    agenda.add(wakeMs, grant);
  };
  const offer = (tenant: SimulatedTenant, nowMs: number) => {
    const agent = `agent-${turns % tenant.agents}`;
    const tokens = Math.max(1, Math.round(tenant.tokens * (0.5 + random())));
    const turn = { id: `turn-${turns++}`, tenant, agent, arrivedMs: nowMs, tokens };
    if (!discipline.offer(turn, nowMs)) refused.set(tenant.name, (refused.get(tenant.name) ?? 0) + 1);
  };
  const arrive = (tenant: SimulatedTenant, perSecond: number) => (nowMs: number) => {
    offer(tenant, nowMs);
    grant(nowMs);
    agenda.add(nowMs - (Math.log(1 - random()) / perSecond) * 1_000, arrive(tenant, perSecond));
  };
  for (const tenant of tenants) {
    const { load, startsAtMs = 0 } = tenant;
    if ('perSecond' in load) agenda.add(startsAtMs, arrive(tenant, load.perSecond));
    else {
      agenda.add(startsAtMs, (nowMs) => {
        for (let open = 0; open < load.open; open++) offer(tenant, nowMs);
      });
      agenda.add(startsAtMs + 1, grant); // When all have come that come at once.
    }
  }
  for (let next = agenda.next(); next && next.atMs < endMs; next = agenda.next()) next.happens(next.atMs);
  return { runs, refused };
}

/** The lane as dispatch has it. */
export function fair(runningMax: number): Discipline {
  const lane = new Lane({ ...LANE_BOUNDS, runningMax });
  const turns = new Map<string, SimulatedTurn>();
  return {
    offer(turn, nowMs) {
      const { id, agent, tenant } = turn;
      const request = { id, agent, tenant: tenant.name, weight: tenant.weight, priority: 0, worker: 'one' } as const;
      if (lane.ask({ ...request, cost: ESTIMATE }, nowMs)) return false;
      turns.set(id, turn);
      return true;
    },
    grant: (nowMs) => lane.grant(nowMs).map(({ id }) => turns.get(id) as SimulatedTurn),
    end({ id, tokens }, nowMs) {
      turns.delete(id);
      lane.end(id, tokens, nowMs);
    },
    wakesAtMs: (nowMs) => lane.wakesAtMs(nowMs),
  };
}

/** One queue for all, in the order of arrival. */
export function firstComeFirstServed(runningMax: number): Discipline {
  const waiting: SimulatedTurn[] = [];
  let running = 0;
  return {
    offer: (turn) => waiting.push(turn) > 0,
    grant() {
      const granted = waiting.splice(0, runningMax - running);
      running += granted.length;
      return granted;
    },
    end: () => void running--,
    wakesAtMs: () => null,
  };
}

/** What gateways do: so many requests a minute for each tenant, by a bucket of ten seconds' worth, then one queue. */
export function requestsPerMinute(runningMax: number, perMinute: number): Discipline {
  const queue = firstComeFirstServed(runningMax);
  const buckets = new Map<string, { tokens: number; atMs: number; waiting: SimulatedTurn[] }>();
  const perMs = perMinute / 60_000;
  const refill = (nowMs: number) => {
    for (const bucket of buckets.values()) {
      bucket.tokens = Math.min(perMs * 10_000, bucket.tokens + (nowMs - bucket.atMs) * perMs);
      bucket.atMs = nowMs;
      while (bucket.tokens >= 1 && bucket.waiting.length > 0) {
        bucket.tokens--;
        queue.offer(bucket.waiting.shift() as SimulatedTurn, nowMs);
      }
    }
  };
  return {
    offer(turn, nowMs) {
      const bucket = buckets.get(turn.tenant.name) ?? { tokens: perMs * 10_000, atMs: nowMs, waiting: [] };
      buckets.set(turn.tenant.name, bucket);
      return bucket.waiting.push(turn) > 0;
    },
    grant(nowMs) {
      refill(nowMs);
      return queue.grant(nowMs);
    },
    end: queue.end,
    wakesAtMs(nowMs) {
      const empty = [...buckets.values()].filter(({ waiting }) => waiting.length > 0);
      return empty.length === 0
        ? null
        : nowMs + Math.max(1, Math.min(...empty.map((each) => (1 - each.tokens) / perMs)));
    },
  };
}

/** Tokens of each tenant in [fromMs, toMs); a turn's are spread evenly over its time. */
export function serviceBetween(runs: readonly SimulatedRun[], fromMs: number, toMs: number): Map<string, number> {
  const service = new Map<string, number>();
  for (const { tenant, startedMs, endedMs, tokens } of runs) {
    const insideMs = Math.min(endedMs, toMs) - Math.max(startedMs, fromMs);
    if (insideMs <= 0) continue;
    service.set(tenant, (service.get(tenant) ?? 0) + (tokens * insideMs) / (endedMs - startedMs));
  }
  return service;
}

/** Jain's fairness index: 1 where all have the same, 1/n where one has all (Jain, Chiu, Hawe, DEC-TR-301, 1984). */
export function jainIndex(shares: readonly number[]): number {
  const sum = shares.reduce((total, share) => total + share, 0);
  const squares = shares.reduce((total, share) => total + share * share, 0);
  return squares === 0 ? 1 : (sum * sum) / (shares.length * squares);
}

/** The lowest Jain index of service ÷ weight over all windows of so many seconds, a new one each second. */
export function lowestJainIndex(
  { runs }: Simulation,
  tenants: readonly SimulatedTenant[],
  { windowSeconds, fromSecond, toSecond }: { windowSeconds: number; fromSecond: number; toSecond: number },
): number {
  let lowest = 1;
  for (let second = fromSecond; second + windowSeconds <= toSecond; second++) {
    const service = serviceBetween(runs, second * 1_000, (second + windowSeconds) * 1_000);
    lowest = Math.min(lowest, jainIndex(tenants.map(({ name, weight }) => (service.get(name) ?? 0) / weight)));
  }
  return lowest;
}

/** Waits of a tenant's turns that came at or after this time, ms; those that still wait at the end are not known. */
export function waitsOf({ runs }: Simulation, tenant: string, fromMs = 0): number[] {
  return runs
    .filter((run) => run.tenant === tenant && run.arrivedMs >= fromMs)
    .map(({ arrivedMs, startedMs }) => startedMs - arrivedMs);
}

/** mulberry32: small, and the same everywhere. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

interface Entry {
  readonly atMs: number;
  readonly happens: (nowMs: number) => void;
}

/** What happens when: a binary heap. */
class Agenda {
  readonly #heap: Entry[] = [];

  add(atMs: number, happens: Entry['happens']): void {
    const heap = this.#heap;
    let at = heap.push({ atMs, happens }) - 1;
    for (let parent = (at - 1) >> 1; at > 0 && this.#at(parent) > this.#at(at); parent = (at - 1) >> 1) {
      this.#swap(at, parent);
      at = parent;
    }
  }

  next(): Entry | null {
    const heap = this.#heap;
    if (heap.length === 0) return null;
    this.#swap(0, heap.length - 1);
    const next = heap.pop() as Entry;
    for (let at = 0, child = 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && this.#at(child + 1) < this.#at(child)) child++;
      if (this.#at(at) <= this.#at(child)) break;
      this.#swap(at, child);
      at = child;
    }
    return next;
  }

  #at = (index: number) => (this.#heap[index] as Entry).atMs;

  #swap(one: number, other: number): void {
    const heap = this.#heap;
    [heap[one], heap[other]] = [heap[other] as Entry, heap[one] as Entry];
  }
}
