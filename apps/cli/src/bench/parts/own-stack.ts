import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from '@reef/embedded';
import { Explained } from '../../explained.js';
import { databasePrefix, databasesOf } from '../../stack/databases.js';
import { readDemo } from '../../stack/demo.js';
import { call } from '../../stack/http.js';
import { ensureKeys } from '../../stack/keys.js';
import { layout as layoutOf } from '../../stack/layout.js';
import { hasProvider } from '../../stack/services.js';
import type { Wiring } from '../../stack/services.js';
import { readState } from '../../stack/state.js';
import type { ProcessGroup } from './processes.js';

const run = promisify(execFile);
const commandLimitMs = 180_000;
const outputBytesMax = 16 * 1024 * 1024;
const notOurs = ['REEF_', 'OPENAI_', 'ANTHROPIC_'];

/** A stack that only one benchmark uses: embedded servers, the simulated provider, the demo tenant. */
export interface OwnStack {
  readonly baseUrl: string;
  readonly simulatorUrl: string;
  readonly natsUrl: string;
  /** Signs contexts as the edge does. */
  readonly edgeSigningKeyFile: string;
  readonly databases: Wiring['databases'];
  /** The supervisor is one of them. */
  readonly processes: readonly ProcessGroup[];
  /** Runs `./reef …` on this stack; resolves with what it printed, whatever its exit code. */
  reef(...args: string[]): Promise<string>;
  /** Registers a person with a tenant of their own; resolves with its API key. */
  signUp(tenant: string): Promise<string>;
}

/**
 * Starts a stack in a folder and on a port of its own, and removes both when the work is done or has failed.
 * @param variables of the environment that this benchmark sets.
 */
export async function onOwnStack<Result>(
  work: (stack: OwnStack) => Promise<Result>,
  variables: Readonly<Record<string, string>> = {},
): Promise<Result> {
  const home = mkdtempSync(join(tmpdir(), 'reef-bench-'));
  const kept = Object.entries(process.env).filter(([name]) => !notOurs.some((prefix) => name.startsWith(prefix)));
  const cache = ['REEF_CACHE', 'REEF_NATS_SERVER'].map((name) => [name, process.env[name]]);
  const env = {
    ...Object.fromEntries([...kept, ...cache.filter(([, value]) => value !== undefined)]),
    ...variables,
    REEF_HOME: home,
    REEF_PORT: String(await freePort()),
    // What is measured is the work, not what a newcomer may spend.
    REEF_DEFAULT_PLAN: 'unmetered',
  } as NodeJS.ProcessEnv;
  if (hasProvider(env)) throw new Explained('benchmarks use the simulated provider: move reef.config.json away');
  const execute = async (...args: string[]) =>
    run(process.execPath, [...process.execArgv, process.argv[1] as string, ...args], {
      env,
      timeout: commandLimitMs,
      maxBuffer: outputBytesMax,
    });
  const reef = (...args: string[]) =>
    execute(...args).then(
      ({ stdout }) => stdout,
      (error: { stdout?: string }) => error.stdout ?? '',
    );
  const remove = async () => {
    await execute('down').catch(() => undefined);
    rmSync(home, { recursive: true, force: true });
  };
  // Neither a person who presses Ctrl-C nor a bug of ours may leave ten processes behind.
  const interrupted = () => void remove().then(() => process.exit(130));
  const broken = (error: Error) => {
    process.stderr.write(`${error.stack}\n`);
    void remove().then(() => process.exit(1));
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupted);
  process.once('uncaughtException', broken);
  try {
    await execute('up', '--detach', '--json');
    return await work(describe(env, reef));
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupted);
    process.off('uncaughtException', broken);
    await remove();
  }
}

function describe(env: NodeJS.ProcessEnv, reef: OwnStack['reef']): OwnStack {
  const layout = layoutOf(env);
  const state = readState(layout);
  const demo = readDemo(layout);
  if (state === undefined || demo === undefined) throw new Error('the stack started and left no state');
  const portOf = (name: string) => state.services.find((service) => service.name === name)?.port ?? 0;
  const { files, passwords } = ensureKeys(layout);
  const adminUrl = `postgres://postgres:${passwords.postgres}@127.0.0.1:${portOf('postgres')}/postgres`;
  const { baseUrl } = demo;
  return {
    baseUrl,
    simulatorUrl: `http://127.0.0.1:${portOf('simulator')}`,
    natsUrl: `nats://reef:${passwords.nats}@127.0.0.1:${portOf('nats')}`,
    edgeSigningKeyFile: files.edgeSigningKey,
    databases: databasesOf(adminUrl, databasePrefix(env), passwords),
    processes: [
      { name: 'supervisor', pid: state.supervisor.pid },
      ...state.services.flatMap(({ name, process: running }) => (running ? [{ name, pid: running.pid }] : [])),
    ],
    reef,
    async signUp(tenant) {
      const { status, body } = await call('POST', `${baseUrl}/api/signup`, {
        body: { email: `${tenant}@reef.example`, password: 'a bench of coral', tenant },
      });
      if (status !== 201) throw new Error(`the sign-up of ${tenant} was answered with ${status}`);
      return (body as { apiKey: string }).apiKey;
    },
  };
}

/** Does the work for every item, so many at once; stops taking new ones when `goOn` says no. Resolves in the order of the items. */
export async function atOnce<Item, Result>(
  count: number,
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
  goOn: () => boolean = () => true,
): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  const worker = async () => {
    while (next < items.length && goOn()) {
      const index = next++;
      results[index] = await work(items[index] as Item);
    }
  };
  await Promise.all(Array.from({ length: count }, worker));
  return results;
}

/** Asks every `everyMs` until the answer is yes; false when that takes too long. */
export async function until(
  condition: () => Promise<boolean>,
  { everyMs, limitMs }: { everyMs: number; limitMs: number },
): Promise<boolean> {
  const deadlineMs = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) return false;
    await sleep(everyMs);
  }
  return true;
}
