import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Called at a point where a process may die; `service` and `point` together are its name, such as `budgets:after-commit`. */
export type CrashPoint = (service: string, point: string) => void;

/**
 * Points at which a process kills itself, for tests of what its death leaves behind. `REEF_CRASH_AT` lists them: `budgets:before-commit` for the
 * first time a process comes by, `budgets:before-commit@40` for the fortieth. Of all processes that share the folder `REEF_CRASH_DIR`
 * one dies at each point, once, and leaves a file of that name there.
 * @throws where a name is malformed, the folder is missing, or NODE_ENV is `production`.
 */
export function crashPoints(
  env: NodeJS.ProcessEnv,
  die: () => void = () => process.kill(process.pid, 'SIGKILL'),
): CrashPoint {
  const list = env['REEF_CRASH_AT'];
  if (!list) return () => undefined;
  if (env['NODE_ENV'] === 'production') throw new Error('REEF_CRASH_AT is for tests, and NODE_ENV is production');
  const folder = env['REEF_CRASH_DIR'];
  if (!folder) throw new Error('REEF_CRASH_AT needs REEF_CRASH_DIR, where each point leaves word that it was met');
  mkdirSync(folder, { recursive: true });
  const passesLeft = new Map(list.split(',').map(parse));
  return (service, point) => {
    const name = `${service}:${point}`;
    const left = passesLeft.get(name);
    if (left === undefined) return;
    if (left > 1) return void passesLeft.set(name, left - 1);
    passesLeft.delete(name);
    if (isFirst(join(folder, name))) die();
  };
}

function parse(text: string): [string, number] {
  const [, name = '', passes = '1'] = /^([a-z]+:[a-z-]+)(?:@([1-9]\d{0,6}))?$/.exec(text.trim()) ?? [];
  if (name === '') throw new Error(`REEF_CRASH_AT: "${text}" is not of the form budgets:after-commit@40`);
  return [name, Number(passes)];
}

function isFirst(marker: string): boolean {
  try {
    writeFileSync(marker, `${process.pid}\n`, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** This process's points; without REEF_CRASH_AT a call that does nothing. */
export const crashAt: CrashPoint = crashPoints(process.env);
