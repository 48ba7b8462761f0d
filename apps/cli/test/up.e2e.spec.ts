import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { freePort, identify, isRunning } from '@reef/embedded';
import type { ProcessIdentity } from '@reef/embedded';

const main = resolve(import.meta.dirname, '../dist/main.js');
const commandLimitMs = 180_000;
const names = [
  'budgets',
  'dispatch',
  'edge',
  'identity',
  'memory',
  'nats',
  'postgres',
  'simulator',
  'telemetry',
  'workspace',
];

interface Status {
  services: {
    name: string;
    pid: number | null;
    port: number;
    ready: boolean;
    rssBytes: number;
    pssBytes: number;
    restarts: number;
  }[];
}

// One story, told in order: each test goes on where the one before has ended.
describe('a stack on this machine', () => {
  const folder = mkdtempSync(join(tmpdir(), 'reef-up-'));
  const home = join(folder, 'home');
  let port: number;

  beforeAll(async () => {
    port = await freePort();
  });
  afterAll(async () => {
    await reef('down');
    rmSync(folder, { recursive: true, force: true });
  }, commandLimitMs);

  test(
    'comes up, everything is ready, and only its owner can read its demo key',
    async () => {
      expect(await reef('up', '--detach', '--json')).toMatchObject({ code: 0 });
      const { services } = await status();
      expect(services.map(({ name }) => name).sort()).toEqual(names);
      expect(services.filter(({ ready, rssBytes }) => !ready || rssBytes === 0)).toEqual([]);
      expect(statSync(join(home, 'demo.json')).mode & 0o777).toBe(0o600);
      expect(statSync(home).mode & 0o777).toBe(0o700);
    },
    commandLimitMs,
  );

  test('counts PostgreSQL’s connections as part of its memory', async () => {
    const { pid, pssBytes } = of(await status(), 'postgres');
    const alone = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1];
    // Six services hold connections, and each is a process of several megabytes.
    expect(pssBytes).toBeGreaterThan(Number(alone) * 1024 + 20e6);
  });

  test(
    'answers in the terminal',
    async () => {
      const { code, stdout } = await reef('chat', 'Say hello');
      expect(code).toBe(0);
      expect(stdout.trim()).not.toBe('');
    },
    commandLimitMs,
  );

  test(
    'refuses a second start in the same home, and one on a port that is taken',
    async () => {
      expect(await reef('up')).toMatchObject({ code: 1, stderr: expect.stringContaining('already runs') });
      const elsewhere = mkdtempSync(join(tmpdir(), 'reef-up-'));
      const second = await reefIn({ REEF_HOME: elsewhere }, 'up');
      expect(second).toMatchObject({ code: 1, stderr: expect.stringContaining(`REEF_PORT=${port + 1}`) });
      rmSync(elsewhere, { recursive: true, force: true });
    },
    commandLimitMs,
  );

  test(
    'starts a killed service and a killed server again',
    async () => {
      const before = await status();
      for (const name of ['budgets', 'postgres', 'nats']) process.kill(of(before, name).pid!, 'SIGKILL');
      await until(async () => {
        const now = await status();
        return now.services.every(({ ready }) => ready) && of(now, 'budgets').restarts === 1;
      });
      const after = await status();
      for (const name of ['postgres', 'nats']) {
        expect(of(after, name)).toMatchObject({ port: of(before, name).port, restarts: 1 });
      }
      expect((await reef('chat', 'Are you still there?')).code).toBe(0);
    },
    commandLimitMs,
  );

  test(
    'leaves nothing behind when its supervisor is killed, and has its data at the next start',
    async () => {
      const processes = await identities();
      const supervisor = JSON.parse(readFileSync(join(home, 'reef.pid'), 'utf8')) as ProcessIdentity;
      const demo = readFileSync(join(home, 'demo.json'), 'utf8');
      process.kill(supervisor.pid, 'SIGKILL');

      expect(await reef('up', '--detach', '--json')).toMatchObject({
        code: 0,
        stdout: expect.not.stringContaining('!'),
      });
      expect(processes.filter(isRunning)).toEqual([]);
      expect(readFileSync(join(home, 'demo.json'), 'utf8')).toBe(demo);
      expect((await reef('chat', 'Do you know me?')).code).toBe(0);
    },
    commandLimitMs,
  );

  test(
    'ends with every process of its own',
    async () => {
      const processes = await identities();
      expect(processes).toHaveLength(names.length);
      expect(await reef('down')).toMatchObject({ code: 0, stdout: 'stopped\n' });
      expect(processes.filter(isRunning)).toEqual([]);
      expect(await reef('status', '--json')).toMatchObject({ code: 1, stdout: '{"services":[]}\n' });
    },
    commandLimitMs,
  );

  test(
    'that cannot start says why at once, in words, and leaves nothing running',
    async () => {
      const provider = { OPENAI_API_KEY: 'sk-test', OPENAI_BASE_URL: 'nonsense' };
      const startedMs = Date.now();
      const { code, stderr } = await reefIn(provider, 'up');
      expect(code).toBe(1);
      expect(stderr).toContain('dispatch ended while starting (code 1): OPENAI_BASE_URL is not an http(s) URL.');
      expect(stderr).not.toContain('"level"');
      // The edge is ready only when dispatch is: waiting for it would take three minutes.
      expect(Date.now() - startedMs).toBeLessThan(60_000);
      expect(await reef('status', '--json')).toMatchObject({ code: 1, stdout: '{"services":[]}\n' });
    },
    commandLimitMs,
  );

  test('names the setting whose server cannot be reached, and doctor makes no home to say so', async () => {
    const elsewhere = join(folder, 'elsewhere');
    const env = { REEF_HOME: elsewhere, REEF_DATABASE_URL: 'postgres://admin:a-secret@127.0.0.1:1/reef' };
    const [doctor, up] = [await reefIn(env, 'doctor'), await reefIn({ ...env, REEF_HOME: `${elsewhere}-up` }, 'up')];
    expect(existsSync(elsewhere)).toBe(false);
    expect(doctor).toMatchObject({ code: 1, stdout: expect.stringContaining('✗ REEF_DATABASE_URL: nobody listens') });
    expect(up).toMatchObject({ code: 1, stderr: expect.stringContaining('REEF_DATABASE_URL cannot be used') });
    expect(doctor.stdout + up.stdout + up.stderr).not.toContain('a-secret');
  });

  async function status(): Promise<Status> {
    return JSON.parse((await reef('status', '--json')).stdout) as Status;
  }

  async function identities(): Promise<ProcessIdentity[]> {
    return (await status()).services.flatMap(({ pid }) => (pid === null ? [] : [identify(pid)!]));
  }

  function of({ services }: Status, name: string) {
    return services.find((service) => service.name === name)!;
  }

  async function until(condition: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + 30_000;
    while (!(await condition())) {
      if (Date.now() > deadline) throw new Error('it did not happen within 30 s');
      await new Promise((again) => setTimeout(again, 200));
    }
  }

  function reef(...args: string[]) {
    return reefIn({}, ...args);
  }

  /** Without the person's own providers and servers: the simulated and the embedded ones. */
  function reefIn(
    more: NodeJS.ProcessEnv,
    ...args: string[]
  ): Promise<{ code: number; stdout: string; stderr: string }> {
    const own = /^(REEF_(DATABASE|NATS)_URL|REEF_HOME|REEF_PORT|OPENAI_.*|ANTHROPIC_.*)$/;
    const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !own.test(name)));
    const env = { ...inherited, REEF_HOME: home, REEF_PORT: String(port), ...more };
    return new Promise((done) => {
      execFile(process.execPath, [main, ...args], { env, timeout: commandLimitMs }, (error, stdout, stderr) =>
        done({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : 1, stdout, stderr }),
      );
    });
  }
});
