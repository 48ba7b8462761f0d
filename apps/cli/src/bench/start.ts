import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '@reef/embedded';
import type { Bench } from './bench.js';

const run = promisify(execFile);
const startLimitMs = 180_000;
const warmStarts = 3;

export const bench: Bench = {
  about: 'from nothing, and from state that is there, to a stack that answers',
  async run(say) {
    const home = mkdtempSync(join(tmpdir(), 'reef-bench-'));
    const env = { ...process.env, REEF_HOME: home, REEF_PORT: String(await freePort()) };
    const reef = (...args: string[]) =>
      run(process.execPath, [...process.execArgv, process.argv[1] as string, ...args], { env, timeout: startLimitMs });
    const startMs = async () => {
      const before = performance.now();
      await reef('up', '--detach', '--json');
      return Math.round(performance.now() - before);
    };
    try {
      const coldMs = await startMs();
      say(`cold start ${coldMs} ms`);
      const { stdout } = await reef('status', '--json');
      const { services } = JSON.parse(stdout) as { services: { rssBytes: number }[] };
      const idleBytes = services.reduce((sum, { rssBytes }) => sum + rssBytes, 0);
      const warmMs: number[] = [];
      for (let start = 0; start < warmStarts; start += 1) {
        await reef('down');
        warmMs.push(await startMs());
      }
      warmMs.sort((a, b) => a - b);
      return [
        { name: 'cold start', value: coldMs, unit: 'ms' },
        { name: `warm start, median of ${warmStarts}`, value: warmMs[Math.floor(warmStarts / 2)] ?? 0, unit: 'ms' },
        { name: 'memory of all processes at rest', value: Math.round(idleBytes / 1e6), unit: 'MB' },
      ];
    } finally {
      await reef('down').catch(() => undefined);
      rmSync(home, { recursive: true, force: true });
    }
  },
};
