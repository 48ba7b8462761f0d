import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '@reef/embedded';
import { type Answer, type Ask, ask } from './http.js';

const main = resolve(import.meta.dirname, '../apps/cli/dist/main.js');
const commandLimitMs = 120_000;
/** A start on two busy cores; also the limit of a `beforeAll` that starts a stack. */
export const START_LIMIT_MS = 120_000;

export type ServiceName =
  | 'budgets'
  | 'dispatch'
  | 'edge'
  | 'identity'
  | 'memory'
  | 'nats'
  | 'postgres'
  | 'simulator'
  | 'telemetry'
  | 'workspace';

/** Of a service with several processes: `budgets`, `budgets-2`, `budgets-3`. */
export type InstanceName = ServiceName | `${ServiceName}-${number}`;

export interface ServiceStatus {
  readonly name: InstanceName;
  readonly pid: number | null;
  readonly port: number;
  readonly ready: boolean;
  readonly restarts: number;
}

export interface Tenant {
  readonly tenant: string;
  readonly user: string;
  readonly apiKey: string;
  readonly email: string;
  readonly password: string;
  /** `/api/tenants/{tenant}` */
  readonly path: string;
  /** For clients of another kind. */
  url(path: string): string;
  /** Asks with the tenant's own key. */
  ask(method: string, path: string, more?: Ask): Promise<Answer>;
}

export interface Stack extends AsyncDisposable {
  readonly home: string;
  readonly baseUrl: string;
  readonly demo: { readonly tenant: string; readonly apiKey: string; readonly platformKey: string };
  ask(method: string, path: string, more?: Ask): Promise<Answer>;
  /** A tenant nobody else has. */
  signUp(): Promise<Tenant>;
  status(): Promise<readonly ServiceStatus[]>;
  /** SIGKILL: the process has no word to say about it. */
  kill(service: InstanceName): Promise<void>;
  /** Throws when not everything is ready by then. */
  ready(limitMs: number): Promise<void>;
  reef(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** REEF_HOME/state.json, as far as it matters here. */
interface Recorded {
  readonly services: readonly { name: string; process?: { pid: number }; port: number; readyPath?: string }[];
}

/**
 * A whole stack of real processes with a home and ports of its own, as `./reef up --detach` starts it. Where the run has one
 * for everybody (REEF_TEST_STACK names its home), that one, and nothing ends with it.
 */
export async function startStack({
  ownServers = false,
  settings = {},
}: { ownServers?: boolean; settings?: Readonly<Record<`REEF_${string}`, string>> } = {}): Promise<Stack> {
  const shared = process.env['REEF_TEST_STACK'];
  if (shared && !ownServers) {
    const { baseUrl } = readDemo(shared);
    return stackIn(shared, Number(new URL(baseUrl).port), async () => undefined);
  }
  const folder = mkdtempSync(join(tmpdir(), 'reef-e2e-'));
  const home = join(folder, 'home');
  const port = await freePort();
  const down = async () => {
    const { code, stderr } = await reefIn(home, port, ['down']);
    if (code !== 0) throw new Error(`the stack did not end: ${stderr}`);
    rmSync(folder, { recursive: true, force: true });
  };
  const started = await reefIn(home, port, ['up', '--detach', '--json'], settings);
  if (started.code !== 0) {
    await down();
    throw new Error(`the stack did not start: ${started.stderr}${started.stdout}`);
  }
  return stackIn(home, port, down);
}

function stackIn(home: string, port: number, dispose: () => Promise<void>): Stack {
  const { baseUrl, ...demo } = readDemo(home);
  const askHere: Stack['ask'] = (method, path, more) => ask(`${baseUrl}${path}`, method, more);
  const reef: Stack['reef'] = (...words) => reefIn(home, port, words);
  const status: Stack['status'] = async () =>
    (JSON.parse((await reef('status', '--json')).stdout) as { services: ServiceStatus[] }).services;
  const recorded = () => JSON.parse(readFileSync(join(home, 'state.json'), 'utf8')) as Recorded;

  return {
    home,
    baseUrl,
    demo,
    ask: askHere,
    reef,
    status,
    async signUp() {
      const tenant = `t-${randomBytes(6).toString('hex')}`;
      const email = `${tenant}@example.com`;
      const password = randomBytes(12).toString('hex');
      const { status: code, json } = await askHere('POST', '/api/signup', { json: { email, password, tenant } });
      if (code !== 201) throw new Error(`sign-up was answered with ${code}: ${JSON.stringify(json)}`);
      const { apiKey, user } = json as { apiKey: string; user: string };
      const path = `/api/tenants/${tenant}`;
      return {
        tenant,
        user,
        apiKey,
        email,
        password,
        path,
        url: (where) => `${baseUrl}${where}`,
        ask: (method, where, more) => askHere(method, where, { key: apiKey, ...more }),
      };
    },
    async kill(name) {
      const pid = recorded().services.find((service) => service.name === name)?.process?.pid;
      if (!pid) throw new Error(`${name} does not run`);
      process.kill(pid, 'SIGKILL');
    },
    async ready(limitMs) {
      // The edge asks every service; the command, which starts a process, has the last word.
      const answers = async (url: string) =>
        (await ask(url, 'GET', { timeoutMs: 3_000 }).catch(() => null))?.status === 200;
      const all = async () => {
        const { services } = recorded();
        const asked = services.filter(({ readyPath }) => readyPath !== undefined);
        if (!services.every((service) => service.process)) return false;
        return (
          await Promise.all(asked.map(({ port: at, readyPath }) => answers(`http://127.0.0.1:${at}${readyPath}`)))
        ).every(Boolean);
      };
      const well = async () => (await all()) && (await reef('status', '--json')).code === 0;
      await until(well, limitMs, 'every service is ready');
    },
    [Symbol.asyncDispose]: dispose,
  };
}

/** Looks until it is so; throws when it is not within the limit. */
export async function until(condition: () => Promise<boolean>, limitMs: number, what: string): Promise<void> {
  const deadlineMs = Date.now() + limitMs;
  while (!(await condition())) {
    if (Date.now() > deadlineMs) throw new Error(`within ${limitMs / 1_000} s it did not come to be that ${what}`);
    await sleep(150);
  }
}

function readDemo(home: string): Stack['demo'] & { readonly baseUrl: string } {
  return JSON.parse(readFileSync(join(home, 'demo.json'), 'utf8')) as Stack['demo'] & { baseUrl: string };
}

/** Without the person's own providers and servers: the simulated and the embedded ones. */
function reefIn(
  home: string,
  port: number,
  words: readonly string[],
  settings: Readonly<Record<string, string>> = {},
): ReturnType<Stack['reef']> {
  const own = /^(REEF_(DATABASE|NATS)_URL|REEF_DEFAULT_MODEL|REEF_INSTANCES|REEF_CRASH_AT|OPENAI_.*|ANTHROPIC_.*)$/;
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !own.test(name)));
  const env = { ...inherited, ...settings, REEF_HOME: home, REEF_PORT: String(port) };
  return new Promise((done) => {
    execFile(process.execPath, [main, ...words], { env, timeout: commandLimitMs }, (error, stdout, stderr) =>
      done({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : 1, stdout, stderr }),
    );
  });
}
