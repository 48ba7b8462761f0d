import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { rmSync } from 'node:fs';
import { freePort, isPortFree } from '@reef/embedded';
import { Explained } from '../explained.js';
import { databasePrefix, databasesOf, dropDatabases, externalAdminUrl, prepareDatabases } from './databases.js';
import { ensureDemo } from './demo.js';
import type { Demo } from './demo.js';
import { requireExternal } from './external/require-external.js';
import { instanceNames, instancesFrom, totalOf } from './instances.js';
import type { Keeper } from './keeper.js';
import { ensureKeys } from './keys.js';
import { makeHome } from './layout.js';
import type { Layout } from './layout.js';
import { endOrphans } from './orphans.js';
import { natsProgram, postgresProgram, serviceProgram } from './programs.js';
import type { Report } from './report.js';
import { hasProvider, serviceEnvironment, simulatorEnvironment, statefulServices } from './services.js';
import type { Wiring } from './services.js';

export interface StartedStack {
  readonly demo: Demo;
  readonly warning?: string;
}

/** Everything of a stack that `--fresh` removes; the log of the supervisor itself stays. */
const stateFolders = ['postgres', 'nats', 'workspace', 'keys', 'crashes', 'demo.json', 'state.json'];

/** Brings a whole stack up under the keeper. The caller holds the home's lock, and stops the keeper when this throws. */
export async function startStack(
  layout: Layout,
  env: NodeJS.ProcessEnv,
  keeper: Keeper,
  report: Report,
  { fresh }: { fresh: boolean },
): Promise<StartedStack> {
  const baseUrl = `http://127.0.0.1:${layout.port}`;
  const instances = instancesFrom(env['REEF_INSTANCES']);
  const ended = await endOrphans(layout);
  if (ended.length > 0) report.say(`ended what a killed start had left: ${ended.join(', ')}`);
  await requireFreePort(layout.port);
  await requireExternal(env);
  if (fresh) await report.step('removing the old state', () => removeState(layout, env));
  makeHome(layout);
  const { files, passwords } = ensureKeys(layout);

  const postgres = env['REEF_DATABASE_URL'] ? undefined : postgresProgram(layout, passwords, totalOf(instances));
  const nats = env['REEF_NATS_URL'] ? undefined : natsProgram(layout, passwords, env, (step) => report.say(step));
  const [, , simulatorUrl] = await allOf([
    postgres && report.step('PostgreSQL', () => keeper.start(postgres)),
    nats && report.step('NATS', () => keeper.start(nats)),
    hasProvider(env) ? undefined : report.step('simulated model provider', () => startSimulator(keeper, layout, env)),
  ] as const);

  const adminUrl = postgres?.adminUrl() ?? externalAdminUrl(env['REEF_DATABASE_URL'] ?? '');
  const prefix = databasePrefix(env);
  const wiring: Wiring = {
    natsUrl: nats?.url() ?? env['REEF_NATS_URL'] ?? '',
    databases: databasesOf(adminUrl, prefix, passwords),
    files,
    passwords,
    simulatorUrl,
  };
  await report.step('databases', () => prepareDatabases(adminUrl, prefix, layout, env, wiring, keeper.stopSignal));
  // Not waited for after a failure: the edge would wait for the one that failed. The caller ends whatever is still starting.
  await Promise.all(
    [...statefulServices, 'edge' as const].flatMap((service) => {
      const environmentOf = (name: string) => (port: number) => ({
        ...serviceEnvironment(service, env, layout, wiring, port),
        // Of this name the keeper runs one process at a time, here and with this home.
        REEF_INSTANCE: `${name}-${placeId(layout)}`,
      });
      const own = service === 'edge' ? { port: layout.port } : {};
      return instanceNames(service, service === 'edge' ? 1 : instances[service]).map((name) =>
        report.step(name, () =>
          keeper.start(
            serviceProgram(service, layout, { ...own, name, readyPath: '/readyz', environment: environmentOf(name) }),
          ),
        ),
      );
    }),
  );
  return report.step('demo tenant', () => ensureDemo(layout, baseUrl, passwords));
}

/** Tells the stacks apart that may share a PostgreSQL. */
function placeId(layout: Layout): string {
  return createHash('sha256').update(`${hostname()} ${layout.home}`).digest('hex').slice(0, 12);
}

/** Waits for all, then fails with the first failure: nothing goes on in the background of a start that failed. */
async function allOf<T extends readonly unknown[]>(work: T): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(work);
  return Promise.all(work);
}

async function startSimulator(keeper: Keeper, layout: Layout, env: NodeJS.ProcessEnv): Promise<string> {
  // One port for good: dispatch is told it once.
  const port = await freePort();
  const environment = () => simulatorEnvironment(env, layout, port);
  await keeper.start(serviceProgram('simulator', layout, { port, readyPath: '/readyz', environment }));
  return `http://127.0.0.1:${port}/v1`;
}

async function requireFreePort(port: number): Promise<void> {
  if (await isPortFree(port)) return;
  throw new Explained(`port ${port} is taken by another program. Choose another one: REEF_PORT=${port + 1} ./reef up`);
}

async function removeState(layout: Layout, env: NodeJS.ProcessEnv): Promise<void> {
  const external = env['REEF_DATABASE_URL'];
  if (external) await dropDatabases(externalAdminUrl(external), databasePrefix(env));
  for (const name of stateFolders) rmSync(layout.path(name), { recursive: true, force: true });
}
