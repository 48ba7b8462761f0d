import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Explained } from '../explained.js';

export const repositoryRoot = resolve(dirname(fileURLToPath(import.meta.url)), '../../../..');

/** Model providers beyond those of the environment; one file for all stacks of a clone. */
export const providersFile = join(repositoryRoot, 'reef.config.json');

/** Where one stack keeps its state. Two stacks with different homes share nothing but the cache. */
export interface Layout {
  readonly home: string;
  /** The edge's port. */
  readonly port: number;
  readonly cacheDir: string;
  readonly providersFile: string;
  path(...parts: string[]): string;
  logFile(service: string): string;
}

export function layout(env: NodeJS.ProcessEnv): Layout {
  const home = resolve(env['REEF_HOME'] || join(repositoryRoot, '.reef'));
  const path = (...parts: string[]) => join(home, ...parts);
  return {
    home,
    port: portFrom(env['REEF_PORT'] || '8080'),
    cacheDir: env['REEF_CACHE'] || join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'reef'),
    providersFile,
    path,
    logFile: (service) => path('logs', `${service}.log`),
  };
}

/** Makes the folders that must be there before anything is written; closed to other users. */
export function makeHome({ home, path }: Layout): void {
  for (const folder of [home, path('logs'), path('keys')]) mkdirSync(folder, { recursive: true, mode: 0o700 });
}

function portFrom(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port;
  throw new Explained(`REEF_PORT is "${text}", which is no port`);
}
