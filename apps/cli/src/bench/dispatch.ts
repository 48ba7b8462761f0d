import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { repositoryRoot } from '../stack/layout.js';
import { call } from '../stack/http.js';
import { type Bench, type Figure, figure } from './bench.js';
import { onOwnStack, type OwnStack } from './parts/own-stack.js';
import { percentile } from './parts/percentile.js';
import { chatRequest, type Heard, type Target, TurnClient } from './parts/turn-client.js';

/** As much of dispatch's simulation as is used here: apps share no code, but a benchmark may measure what another one has compiled. */
interface Simulator {
  simulate(tenants: readonly Tenant[], discipline: object, run: { seconds: number; seed: number }): object;
  fair(runningMax: number): object;
  firstComeFirstServed(runningMax: number): object;
  requestsPerMinute(runningMax: number, perMinute: number): object;
  durationMs(tokens: number): number;
  lowestJainIndex(
    simulation: object,
    tenants: readonly Tenant[],
    windows: { windowSeconds: number; fromSecond: number; toSecond: number },
  ): number;
  waitsOf(simulation: object, tenant: string): number[];
}
interface Tenant {
  readonly name: string;
  readonly weight: number;
  readonly agents: number;
  readonly load: { readonly open: number } | { readonly perSecond: number };
  readonly tokens: number;
}

const permits = 200;
const tokens = 200;
const simulatedSeconds = 120;
const seeds = [1, 2, 3];

const real = { runningMax: 8, noisyInFlight: 200, seconds: 25, replyMs: 500, settlingMs: 5_000 };

export const bench: Bench = {
  about:
    'how fairly tenants share a model, and what a noisy one costs a quiet one; first in virtual time, then on a stack',
  async run(say) {
    const file = join(repositoryRoot, 'apps/dispatch/dist/lanes/simulation.js');
    const simulator = (await import(pathToFileURL(file).href)) as Simulator;
    say(
      `virtual time: ${permits} permits, turns of ${tokens} tokens on average, ${simulatedSeconds} s, seeds ${seeds.join(', ')}`,
    );
    const simulated = [...fairness(simulator), ...noise(simulator)];
    const { runningMax, noisyInFlight } = real;
    say(
      `a stack: ${runningMax} turns at once with one model, a tenant with ${noisyInFlight} in flight beside a quiet one`,
    );
    const figures = await onOwnStack(noiseOnStack, { REEF_LANE_RUNNING_MAX: String(runningMax) });
    return [...simulated, ...figures];
  },
};

/** All wait all the time; the lowest index of any ten seconds of any run. */
function fairness(simulator: Simulator): Figure[] {
  const tenants = (count: number, change: (index: number) => Partial<Tenant>) =>
    Array.from({ length: count }, (_, index): Tenant => {
      const load = { open: Math.floor(3_000 / count) };
      return { name: `tenant-${index}`, weight: 1, agents: 1, load, tokens, ...change(index) };
    });
  const loads: [string, Tenant[]][] = [
    ['2 tenants, one asks ten times as much', tenants(2, (at) => ({ load: { open: at === 0 ? 3_000 : 300 } }))],
    ['20 tenants, one asks ten times as much', tenants(20, (at) => ({ load: { open: at === 0 ? 1_000 : 100 } }))],
    ['20 tenants, turns up to eight times as long', tenants(20, (at) => ({ tokens: 50 * (1 + (at % 8)) }))],
    ['4 tenants of weights 1 to 4', tenants(4, (at) => ({ weight: 1 + at }))],
    ['20 tenants of weights 1 to 4', tenants(20, (at) => ({ weight: 1 + (at % 4) }))],
  ];
  return loads.flatMap(([name, all]) => {
    const perMinute = ((permits / simulator.durationMs(tokens)) * 60_000) / all.length;
    const disciplines: [string, () => object][] = [
      ['fair queue', () => simulator.fair(permits)],
      ['one queue for all', () => simulator.firstComeFirstServed(permits)],
      ['requests a minute', () => simulator.requestsPerMinute(permits, perMinute)],
    ];
    return disciplines.map(([discipline, make]) => {
      const indices = seeds.map((seed) => {
        const run = simulator.simulate(all, make(), { seconds: simulatedSeconds, seed });
        return simulator.lowestJainIndex(run, all, { windowSeconds: 10, fromSecond: 0, toSecond: simulatedSeconds });
      });
      return figure(`virtual: ${name}, ${discipline}: lowest Jain index of 10 s`, Math.min(...indices), '');
    });
  });
}

/** A tenant that needs an eighth of the lane, alone and beside one that asks for a hundred times what its share is. */
function noise(simulator: Simulator): Figure[] {
  const runningMax = 8;
  const perSecond = runningMax / (simulator.durationMs(tokens) / 1_000);
  const victim: Tenant = { name: 'victim', weight: 1, agents: 1, load: { perSecond: perSecond / 8 }, tokens };
  const noisy: Tenant = { name: 'noisy', weight: 1, agents: 100, load: { perSecond: 50 * perSecond }, tokens };
  const waits = (tenants: Tenant[], make: () => object) =>
    seeds.flatMap((seed) =>
      simulator.waitsOf(simulator.simulate(tenants, make(), { seconds: simulatedSeconds, seed }), 'victim'),
    );
  const disciplines: [string, () => object][] = [
    ['fair queue', () => simulator.fair(runningMax)],
    ['one queue for all', () => simulator.firstComeFirstServed(runningMax)],
  ];
  return [
    figure('virtual: the longest turn', simulator.durationMs(1.5 * tokens), 'ms'),
    ...disciplines.flatMap(([name, make]) =>
      [
        ['alone', [victim]],
        ['beside 100 times its share', [victim, noisy]],
      ].map(([how, tenants]) =>
        figure(
          `virtual: a quiet tenant's wait ${String(how)}, ${name}, p99`,
          percentile(waits(tenants as Tenant[], make), 0.99),
          'ms',
        ),
      ),
    ),
  ];
}

async function noiseOnStack(stack: OwnStack): Promise<Figure[]> {
  const [noisy, quiet] = [await tenantOf(stack, 'noisy'), await tenantOf(stack, 'quiet')];
  const client = new TurnClient();
  for (let index = 0; index < 20; index += 1) await client.ask(index % 2 ? noisy : quiet);
  const alone = await quietly(client, quiet);

  const state = { goOn: true };
  const crowd = Array.from({ length: real.noisyInFlight }, async () => {
    const heard: Heard[] = [];
    while (state.goOn) heard.push(await client.ask(noisy));
    return heard;
  });
  await sleep(real.settlingMs); // Accepting all of them at once takes the machine some seconds, which is not what is measured.
  const beside = await quietly(client, quiet);
  state.goOn = false;
  const noise = (await Promise.all(crowd)).flat();
  client.close();
  const waitsMs = (heard: readonly Heard[]) =>
    heard.filter(({ complete }) => complete).map(({ firstTokenMs }) => firstTokenMs - real.replyMs);
  return [
    figure('stack: how long a turn holds its permit, about', real.replyMs, 'ms'),
    ...[0.5, 0.99].flatMap((share) => [
      figure(
        `stack: a quiet tenant waits for its first token, beyond the model, alone, p${share * 100}`,
        percentile(waitsMs(alone), share),
        'ms',
      ),
      figure(
        `stack: a quiet tenant waits for its first token, beyond the model, beside ${real.noisyInFlight} turns of another, p${share * 100}`,
        percentile(waitsMs(beside), share),
        'ms',
      ),
    ]),
    figure(
      'stack: the noisy tenant waits for its first token, beyond the model, p50',
      percentile(waitsMs(noise), 0.5),
      'ms',
    ),
    figure('stack: turns of the quiet tenant', alone.length + beside.length, 'turns'),
    figure('    of them not answered whole', [...alone, ...beside].filter(({ complete }) => !complete).length, 'turns'),
    figure('stack: turns of the noisy tenant', noise.length, 'turns'),
    figure('    of them not answered whole', noise.filter(({ complete }) => !complete).length, 'turns'),
  ];
}

/** One turn after the other, never two at once. */
async function quietly(client: TurnClient, target: Target): Promise<Heard[]> {
  const heard: Heard[] = [];
  const endMs = performance.now() + real.seconds * 1_000;
  while (performance.now() < endMs) heard.push(await client.ask(target));
  return heard;
}

/** A tenant whose agent answers after a while. */
async function tenantOf(stack: OwnStack, tenant: string): Promise<Target> {
  const apiKey = await stack.signUp(tenant);
  const body = { agent: 'player', model: 'simulator/sim-script' };
  const { status } = await call('POST', `${stack.baseUrl}/api/tenants/${tenant}/agents`, { apiKey, body });
  if (status !== 201) throw new Error(`creating an agent was answered with ${status}`);
  const script = JSON.stringify([{ tokens: 20, delayMs: real.replyMs }]);
  return chatRequest(stack.baseUrl, apiKey, {
    model: 'openclaw/player',
    messages: [{ role: 'user', content: script }],
  });
}
