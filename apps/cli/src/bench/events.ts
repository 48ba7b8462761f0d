import { budgets } from '@reef/contracts';
import { Client } from 'pg';
import { type Bench, type Figure, figure } from './bench.js';
import { AuditProbe } from './parts/audit-probe.js';
import { Commands, ModelCalls } from './parts/commands.js';
import { closedLoop, openLoop } from './parts/load.js';
import { atOnce, onOwnStack, type OwnStack, until } from './parts/own-stack.js';
import { percentile } from './parts/percentile.js';
import { cpuBetween, useOf } from './parts/processes.js';

const tenantCount = 200;
const tenants = Array.from({ length: tenantCount }, (_, index) => `bench-${index}`);
const hotTenant = 'bench-hot';
const spread = { inFlight: 256, seconds: 7 };
const hot = { inFlight: 256, seconds: 3 };
const paced = { perSecond: 1_000, seconds: 6 };
const pace = `${2 * paced.perSecond} events/s`;
const catchUpLimitMs = 20_000;
const unlimited = 10n ** 18n;

export const bench: Bench = {
  about: `how fast budgets appends events over NATS, how soon telemetry shows them, how fast they replay; ${tenantCount} tenants`,
  run: (say) =>
    onOwnStack(async (stack) => {
      const commands = await Commands.connect(stack);
      const calls = new ModelCalls(commands);
      const probe = await AuditProbe.connect(stack.databases.telemetry.feedUrl);
      const events = new Client({ connectionString: stack.databases.budgets.feedUrl });
      await events.connect();
      const written = async () => {
        const { rows } = await events.query<{ count: number }>('select count(*)::int as count from es.event');
        return rows[0]?.count ?? 0;
      };
      try {
        const pair = async (index: number) => {
          const tenant = tenants[index % tenantCount] as string;
          const commandId = await calls.settle(tenant, await calls.reserve(tenant));
          return { tenant, commandId };
        };
        await atOnce(16, [...tenants, hotTenant], (tenant) => commands.send(tenant, budgets.commands.openTenant, {}));
        const limit = {
          scope: 'tenant',
          scopeId: null,
          window: 'month',
          unit: 'usd',
          cap: unlimited,
          hard: true,
        } as const;
        await commands.send(hotTenant, budgets.commands.setLimits, { limits: [limit] });
        await closedLoop({ inFlight: 64, seconds: 2 }, pair);

        const before = await written();
        const atRest = useOf(stack.processes);
        const pairs = await closedLoop(spread, pair);
        const cpu = cpuBetween(atRest, useOf(stack.processes));
        const appended = (await written()) - before;
        const hotReserves = await closedLoop(hot, () => calls.reserve(hotTenant));
        const behind = performance.now();
        const caughtUp = async () => (await probe.count('budgets')) >= (await written());
        if (!(await until(caughtUp, { everyMs: 100, limitMs: catchUpLimitMs }))) {
          throw new Error(`telemetry was not done ${catchUpLimitMs / 1_000} s after the load`);
        }
        const behindMs = performance.now() - behind;

        const since = new Date();
        const kept = await openLoop(paced, async (index) => {
          const { tenant, commandId } = await pair(index);
          probe.follow(tenant, commandId);
        }).then(
          () => 'kept up',
          (error: Error) => `this machine did not keep up (${error.message})`,
        );
        await until(caughtUp, { everyMs: 100, limitMs: catchUpLimitMs });
        const { lagsMs } = probe;
        say(`${pace}: ${kept}`);
        say(`${lagsMs.length} events followed into telemetry's table, looked for every 2 ms`);
        return [
          figure(
            `commands a second (reserve, settle), ${spread.inFlight} in flight`,
            (2 * pairs.results.length) / pairs.seconds,
            '/s',
          ),
          figure('events a second from them', appended / pairs.seconds, '/s'),
          ...cpuFigures(cpu, 2 * pairs.results.length),
          figure('reserves a second on one hot tenant', hotReserves.results.length / hotReserves.seconds, '/s'),
          figure('telemetry was done with all of it after', behindMs, 'ms'),
          ...[0.5, 0.99].map((share) =>
            figure(`answer to visible in telemetry, ${pace}, p${share * 100}`, percentile(lagsMs, share), 'ms'),
          ),
          figure(
            '    the same by the stamps of all events, p50',
            await probe.stampedLagMs('budgets', since, 0.5),
            'ms',
          ),
          figure(
            '    the same by the stamps of all events, p99',
            await probe.stampedLagMs('budgets', since, 0.99),
            'ms',
          ),
          ...(await replayed(stack, 'budgets')),
          ...(await replayed(stack, 'telemetry')),
        ];
      } finally {
        await Promise.all([commands.close(), probe.close(), events.end()]);
      }
    }),
};

function cpuFigures(cpu: readonly [string, number][], commands: number): Figure[] {
  const total = cpu.reduce((sum, [, ms]) => sum + ms, 0);
  return [
    figure('CPU of a command, all processes', total / commands, 'ms'),
    ...cpu.filter(([, ms]) => ms / total >= 0.02).map(([name, ms]) => figure(`    ${name}`, ms / commands, 'ms')),
  ];
}

/** Folds everything again and compares; a difference is an error. */
async function replayed(stack: OwnStack, service: string): Promise<Figure[]> {
  const output = await stack.reef('replay', '--check', '--json', '--service', service);
  const line = output.split('\n').find((text) => text.startsWith('{'));
  if (line === undefined) throw new Error(`the replay of ${service} said nothing: ${output}`);
  const report = JSON.parse(line) as { events: number; durationMs: number; differences: string[] };
  if (report.differences.length > 0) throw new Error(`${service} differs: ${report.differences[0]}`);
  const perSecond = (report.events / report.durationMs) * 1_000;
  return [figure(`replay of ${report.events} events of ${service}, compared`, perSecond, 'events/s')];
}
