import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { FairQueue, type Priority, type Waiting } from './fair-queue.js';

let ids = 0;
const turn = (tenant: string, change: Partial<Waiting> = {}): Waiting => ({
  id: `turn-${ids++}`,
  tenant,
  agent: 'main',
  priority: 0,
  weight: 1,
  cost: 100,
  ...change,
});

const queueOf = (...turns: Waiting[]) => {
  const queue = new FairQueue();
  for (const each of turns) queue.add(each);
  return queue;
};
/** Who is taken, one after the other; each ends at once and used what was estimated. */
const served = (queue: FairQueue, count: number) =>
  Array.from({ length: count }, () => {
    const taken = queue.take();
    if (taken) queue.settle(taken.id, taken.cost);
    return taken;
  });
const many = (count: number, make: (index: number) => Waiting) =>
  Array.from({ length: count }, (_, index) => make(index));
const countOf = (taken: (Waiting | null)[], is: (one: Waiting) => boolean) =>
  taken.filter((one) => one && is(one)).length;

describe('the fair queue', () => {
  test('serves the tenant that had least, not the one that asked first or most', () => {
    const queue = queueOf(...many(100, () => turn('noisy')), turn('quiet'), turn('quiet'));
    expect(served(queue, 5).map((one) => one?.tenant)).toEqual(['noisy', 'quiet', 'noisy', 'quiet', 'noisy']);
  });

  test('counts tokens, not turns', () => {
    const queue = queueOf(...many(20, () => turn('long', { cost: 300 })), ...many(60, () => turn('short')));
    const taken = served(queue, 40);
    expect([countOf(taken, (one) => one.tenant === 'long'), countOf(taken, (one) => one.tenant === 'short')]).toEqual([
      10, 30,
    ]);
  });

  test('gives three times the weight three times the service', () => {
    const queue = queueOf(...many(60, () => turn('big', { weight: 3 })), ...many(60, () => turn('small')));
    expect(countOf(served(queue, 40), (one) => one.tenant === 'big')).toBe(30);
  });

  test('gives a hundred agents of one tenant what one agent of another gets', () => {
    const hundred = many(100, (index) => turn('crowd', { agent: `agent-${index}` }));
    const queue = queueOf(...hundred, ...many(100, () => turn('single')));
    expect(countOf(served(queue, 60), (one) => one.tenant === 'crowd')).toBe(30);
  });

  test("goes round a tenant's agents", () => {
    const queue = queueOf(
      ...many(50, () => turn('a', { agent: 'busy' })),
      ...many(5, () => turn('a', { agent: 'calm' })),
    );
    expect(served(queue, 4).map((one) => one?.agent)).toEqual(['busy', 'calm', 'busy', 'calm']);
  });

  test('lets whoever waits at a screen go before other agents and schedules of the same tenant, and of no other', () => {
    const of = (tenant: string, priority: Priority) => turn(tenant, { priority });
    const queue = queueOf(of('a', 2), of('a', 1), of('a', 0), of('b', 2), of('b', 2));
    expect(served(queue, 5).map((one) => [one?.tenant, one?.priority])).toEqual([
      ['a', 0],
      ['b', 2],
      ['a', 1],
      ['b', 2],
      ['a', 2],
    ]);
  });

  test('corrects an estimate when the turn has ended: who used less is served sooner', () => {
    const queue = queueOf(...many(9, () => turn('frugal')), ...many(9, () => turn('lavish')));
    const names = many(9, () => turn('x')).map(() => {
      const taken = queue.take()!;
      queue.settle(taken.id, taken.tenant === 'frugal' ? 50 : 100);
      return taken.tenant;
    });
    expect(names.filter((name) => name === 'frugal')).toHaveLength(6);
  });

  test('forgets one that is removed, and hears of one that is twice there once', () => {
    const [first, second] = [turn('a'), turn('a')];
    const queue = queueOf(first, first, second);
    expect(queue.waiting).toBe(2);
    queue.remove(first.id);
    queue.remove(first.id);
    expect(queue.take()).toBe(second);
    expect(queue.take()).toBeNull();
    expect([queue.waiting, queue.running]).toEqual([0, 1]);
  });

  test('gives no burst to a tenant that comes back from an absence', () => {
    const queue = queueOf(...many(300, () => turn('steady')), turn('guest'));
    served(queue, 201);
    for (const each of many(100, () => turn('guest'))) queue.add(each);
    expect(countOf(served(queue, 20), (one) => one.tenant === 'guest')).toBe(10);
  });

  test('does not make a newcomer pay for the estimates of those that run', () => {
    const queue = queueOf(...many(50, () => turn('early')));
    for (const _ of many(8, () => turn('x'))) queue.take();
    for (const each of many(50, () => turn('late'))) queue.add(each);
    expect(many(8, () => turn('x')).map(() => queue.take()?.tenant)).toEqual(
      many(8, () => turn('x')).map(() => 'late'),
    );
  });
});

type Step = { add: { tenant: number; agent: number; priority: Priority; cost: number } } | 'take' | { end: number };
const step = (tenants: number, costMax: number): fc.Arbitrary<Step> =>
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        add: fc.record({
          tenant: fc.nat({ max: tenants - 1 }),
          agent: fc.nat({ max: 2 }),
          priority: fc.constantFrom<Priority>(0, 1, 2),
          cost: fc.integer({ min: 1, max: costMax }),
        }),
      }),
    },
    { weight: 2, arbitrary: fc.constant('take' as const) },
    { weight: 2, arbitrary: fc.record({ end: fc.nat({ max: 100 }) }) },
  );

describe('whatever comes and goes', () => {
  test('work is conserved: while one waits, one can be taken, and each that came is taken once', () => {
    fc.assert(
      fc.property(fc.array(step(4, 50), { maxLength: 200 }), (steps) => {
        const queue = new FairQueue();
        const [added, taken, running]: [string[], string[], string[]] = [[], [], []];
        const take = () => {
          const one = queue.take();
          expect(one === null).toBe(added.length === taken.length);
          if (!one) return;
          running.push(one.id);
          taken.push(one.id);
        };
        for (const each of steps) {
          if (each === 'take') take();
          else if ('add' in each) {
            const { tenant, agent, priority, cost } = each.add;
            const one = turn(`t${tenant}`, { agent: `a${agent}`, priority, cost, weight: 1 + tenant });
            added.push(one.id);
            queue.add(one);
          } else if (running.length > 0) queue.settle(running.splice(each.end % running.length, 1)[0]!, each.end);
          expect(queue.waiting).toBe(added.length - taken.length);
          expect(queue.running).toBe(running.length);
        }
        while (queue.waiting > 0) take();
        expect(taken.toSorted()).toEqual(added.toSorted());
      }),
    );
  });

  const weights = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 2, maxLength: 5 });
  const lives = fc.record({
    weights,
    permits: fc.integer({ min: 1, max: 8 }),
    costs: fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 50, maxLength: 300 }),
    parts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 10, maxLength: 50 }),
    picks: fc.array(fc.nat({ max: 7 }), { minLength: 10, maxLength: 50 }),
  });

  /** All wait all the while; each permit that becomes free is given on. Tells what each was given, service over weight. */
  function backlogged(
    life: { weights: number[]; permits: number; costs: number[]; parts: number[]; picks: number[] },
    usedOf: (cost: number, part: number) => number,
    look: (service: number[]) => void,
  ) {
    const queue = new FairQueue();
    const nameOf = (index: number) => `t${index}`;
    const service = life.weights.map(() => 0);
    const running: Waiting[] = [];
    life.costs.forEach((_, at) => {
      life.weights.forEach((weight, tenant) => {
        while (queue.waitingOf(nameOf(tenant)) < 2)
          queue.add(turn(nameOf(tenant), { weight, cost: life.costs[(at + tenant) % life.costs.length]! }));
      });
      if (running.length === life.permits) {
        const [ended] = running.splice(life.picks[at % life.picks.length]! % running.length, 1);
        const used = usedOf(ended!.cost, life.parts[at % life.parts.length]!);
        const tenant = Number(ended!.tenant.slice(1));
        service[tenant] = service[tenant]! + used / ended!.weight;
        queue.settle(ended!.id, used);
      }
      const taken = queue.take();
      running.push(taken!);
      look(service);
    });
  }

  test('two tenants that wait all the while differ by twice the most that may be under way, as Sheng et al. prove', () => {
    fc.assert(
      fc.property(lives, (life) => {
        const most = (life.permits * Math.max(...life.costs)) / Math.min(...life.weights);
        backlogged(
          life,
          (cost, part) => cost * part,
          (service) => expect(Math.max(...service) - Math.min(...service)).toBeLessThanOrEqual(2 * most),
        );
      }),
    );
  });

  test('with one permit and exact estimates they differ by twice the largest charge', () => {
    fc.assert(
      fc.property(lives, (life) => {
        const most = Math.max(...life.costs) / Math.min(...life.weights);
        backlogged(
          { ...life, permits: 1 },
          (cost) => cost,
          (service) => expect(Math.max(...service) - Math.min(...service)).toBeLessThanOrEqual(2 * most),
        );
      }),
    );
  });

  test('who comes back gets no more ahead of who stayed than twice the most that may be under way', () => {
    fc.assert(
      fc.property(lives, fc.integer({ min: 10, max: 100 }), (life, absence) => {
        const queue = new FairQueue();
        const most = 2 * life.permits * Math.max(...life.costs);
        const running: Waiting[] = [];
        let ahead = 0;
        life.costs.forEach((cost, at) => {
          while (queue.waitingOf('steady') < 2) queue.add(turn('steady', { cost }));
          while (at > absence && queue.waitingOf('guest') < 2) queue.add(turn('guest', { cost }));
          if (running.length === life.permits) {
            const ended = running.splice(life.picks[at % life.picks.length]! % running.length, 1)[0]!;
            const used = ended.cost * life.parts[at % life.parts.length]!;
            if (at > absence) ahead += ended.tenant === 'guest' ? used : -used;
            queue.settle(ended.id, used);
          }
          running.push(queue.take()!);
          expect(ahead).toBeLessThanOrEqual(most);
        });
      }),
    );
  });
});
