import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The clone this file belongs to. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** What is fetched once and shared by all clones of this user. */
export function cacheDirectory(env = process.env) {
  return env.REEF_CACHE || join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'reef');
}
