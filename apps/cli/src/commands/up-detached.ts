import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { layout as layoutOf, makeHome } from '../stack/layout.js';
import type { Progress } from './up.js';

/** Starts a supervisor that outlives this terminal; returns when it is ready, or has failed. */
export async function upDetached(command: { fresh: boolean; json: boolean }): Promise<number> {
  const layout = layoutOf(process.env);
  makeHome(layout);
  const log = openSync(layout.logFile('reef'), 'a', 0o600);
  const options = [...(command.fresh ? ['--fresh'] : []), ...(command.json ? ['--json'] : [])];
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1] as string, 'up', ...options], {
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
  });
  closeSync(log);
  const giveUp = () => child.kill('SIGTERM');
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, giveUp);

  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.on('message', (progress: Progress) => {
      if (progress.kind === 'failed') process.stderr.write(`reef: ${progress.text}\n`);
      else process.stdout.write(`${progress.text}\n`);
      if (progress.kind !== 'ready') return;
      child.disconnect();
      child.unref();
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, giveUp);
      resolve(0);
    });
    child.once('exit', (code) => resolve(code ?? 1));
  });
}
