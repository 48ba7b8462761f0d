import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../../..');

export interface Simulator extends AsyncDisposable {
  readonly url: string;
}

/** The simulated model provider, built if need be, as a process of its own on a free port. */
export async function startSimulator(): Promise<Simulator> {
  const compiler = join(root, 'node_modules/typescript-native/bin/tsc');
  execFileSync(process.execPath, [compiler, '-b', 'apps/simulator'], { cwd: root });
  const simulator = spawn(process.execPath, [join(root, 'apps/simulator/dist/main.js')], {
    env: { PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(simulator.stdout, 'data')) as [Buffer];
  const { port } = JSON.parse(line.toString()) as { port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      simulator.kill('SIGTERM');
      await once(simulator, 'exit');
    },
  };
}
