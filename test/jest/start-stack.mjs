import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const main = resolve(import.meta.dirname, '../../apps/cli/dist/main.js');
const own = /^(REEF_(DATABASE|NATS)_URL|REEF_DEFAULT_MODEL|OPENAI_.*|ANTHROPIC_.*)$/;
const START_LIMIT_MS = 180_000;

/** One stack for all journeys that break nothing: each of them signs up tenants of its own. `startStack` finds it by REEF_TEST_STACK. */
export default async function startStack() {
  if (process.env.REEF_TEST_STACK) return;
  const folder = mkdtempSync(join(tmpdir(), 'reef-e2e-'));
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !own.test(name)));
  const env = { ...inherited, REEF_HOME: join(folder, 'home'), REEF_PORT: String(await freePort()) };
  const reef = (...words) => promisify(execFile)(process.execPath, [main, ...words], { env, timeout: START_LIMIT_MS });
  const end = async () => {
    await reef('down');
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await reef('up', '--detach', '--json');
  } catch (error) {
    await end();
    throw error;
  }
  process.env.REEF_TEST_STACK = env.REEF_HOME;
  globalThis.reefStack = { end };
}

function freePort() {
  return new Promise((found, failed) => {
    const server = createServer();
    server.once('error', failed);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => found(port));
    });
  });
}
