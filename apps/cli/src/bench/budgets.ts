import { budgets } from '@reef/contracts';
import { type Bench, type Figure, figure } from './bench.js';
import { Commands, ModelCalls } from './parts/commands.js';
import { closedLoop } from './parts/load.js';
import { atOnce, onOwnStack, type OwnStack } from './parts/own-stack.js';
import { percentile } from './parts/percentile.js';
import { cpuBetween, useOf } from './parts/processes.js';
import { checkThenCharge } from './strategies/check-then-charge.js';
import { play } from './strategies/play.js';
import { reef } from './strategies/reef.js';
import { sharedFloatCounter } from './strategies/shared-float-counter.js';
import { figuresOf } from './strategies/table.js';
import { traceOf } from './strategies/trace.js';
import { ttlHold } from './strategies/ttl-hold.js';

const tenants = Array.from({ length: 200 }, (_, index) => `bench-${index}`);
const hotTenant = 'bench-hot';
const inFlight = 256;
const warmUpSeconds = 3;
const pairSeconds = 8;
const hotSeconds = 4;
const trace = { calls: 3_000, seconds: 900, seed: 20_261_122 };

export const bench: Bench = {
  about:
    'reservations a second through one and three processes of budgets; then one trace of calls under four ways to keep a cap',
  async run(say) {
    const figures: Figure[] = [];
    for (const instances of [1, 3]) {
      say(`a stack with ${instances} of budgets; 200 tenants, then one hot tenant, ${inFlight} in flight`);
      figures.push(...(await onOwnStack(reservations, { REEF_INSTANCES: `budgets=${instances}` })));
    }
    say(`virtual time: ${trace.calls} calls in ${trace.seconds} s, twelve deaths of workers, seed ${trace.seed}`);
    const calls = traceOf(trace);
    const ways = {
      'check-then-charge': checkThenCharge(),
      'shared float counter': sharedFloatCounter(),
      'TTL hold': ttlHold(),
      reef: await reef(),
    };
    return [...figures, ...Object.entries(ways).flatMap(([name, way]) => figuresOf(name, play(calls, way)))];
  },
};

async function reservations(stack: OwnStack): Promise<readonly Figure[]> {
  const processes = stack.processes.filter(({ name }) => /^budgets(-\d)?$/.test(name));
  const commands = await Commands.connect(stack);
  const calls = new ModelCalls(commands);
  const of = (name: string, value: number, unit: string) =>
    figure(`${processes.length} of budgets: ${name}`, value, unit);
  try {
    await atOnce(16, [...tenants, hotTenant], (tenant) => commands.send(tenant, budgets.commands.openTenant, {}));
    const pair = async (index: number) => {
      const startedMs = performance.now();
      const tenant = tenants[index % tenants.length] as string;
      await calls.settle(tenant, await calls.reserve(tenant));
      return performance.now() - startedMs;
    };
    await closedLoop({ inFlight, seconds: warmUpSeconds }, pair);
    const pairs = await measured(pairSeconds, pair);
    const hot = await measured(hotSeconds, async () => {
      const startedMs = performance.now();
      await calls.reserve(hotTenant);
      return performance.now() - startedMs;
    });
    return [
      of('pairs (reserve, settle) a second over 200 tenants', pairs.perSecond, '/s'),
      of('    of a pair, p50', pairs.p50Ms, 'ms'),
      of('    of a pair, p99', pairs.p99Ms, 'ms'),
      ...pairs.shares.map(([name, share]) => of(`    CPU of ${name}, of all of budgets`, share, '%')),
      of('reserves a second on one hot tenant', hot.perSecond, '/s'),
      of('    of a reserve, p99', hot.p99Ms, 'ms'),
      ...hot.shares.map(([name, share]) => of(`    CPU of ${name}, of all of budgets`, share, '%')),
    ];
  } finally {
    await commands.close();
  }

  /** A refusal, `conflict` for who always loses among them, fails the benchmark. */
  async function measured(seconds: number, work: (index: number) => Promise<number>) {
    const before = useOf(processes);
    const { results, seconds: took } = await closedLoop({ inFlight, seconds }, work);
    const cpu = cpuBetween(before, useOf(processes)).sort(([a], [b]) => (a < b ? -1 : 1));
    const total = cpu.reduce((sum, [, ms]) => sum + ms, 0);
    return {
      perSecond: results.length / took,
      p50Ms: percentile(results, 0.5),
      p99Ms: percentile(results, 0.99),
      shares: cpu.length > 1 ? cpu.map(([name, ms]): [string, number] => [name, (100 * ms) / total]) : [],
    };
  }
}
