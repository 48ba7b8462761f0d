import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../../..');
const READY_WITHIN_MS = 20_000;

export interface Simulator extends AsyncDisposable {
  readonly url: string;
}

/** The simulated model provider as a process of its own on a free port. */
export async function startSimulator(): Promise<Simulator> {
  const { process: simulator, line } = await startApp('simulator', { PORT: '0' });
  const { port } = JSON.parse(line) as { port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      simulator.kill('SIGTERM');
      await once(simulator, 'exit');
    },
  };
}

/** Builds an app if need be and starts it; resolves with its first line of output, which says that it is ready. */
export async function startApp(
  app: string,
  env: Record<string, string | undefined>,
): Promise<{ process: ChildProcess; line: string }> {
  const compiler = join(root, 'node_modules/typescript-native/bin/tsc');
  execFileSync(process.execPath, [compiler, '-b', `apps/${app}`], { cwd: root });
  const started = spawn(process.execPath, [join(root, `apps/${app}/dist/main.js`)], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const signal = AbortSignal.timeout(READY_WITHIN_MS);
  const [line] = (await once(started.stdout, 'data', { signal })) as [Buffer];
  return { process: started, line: line.toString() };
}
