import { Explained } from '../../explained.js';
import { reachNats } from './reach-nats.js';
import { reachPostgres } from './reach-postgres.js';
import type { Reached } from './reached.js';

const settings = { REEF_DATABASE_URL: reachPostgres, REEF_NATS_URL: reachNats } as const;
type Setting = keyof typeof settings;

/** Looks at a server that the environment names; undefined when it names none. */
export async function reachExternal(setting: Setting, env: NodeJS.ProcessEnv): Promise<Reached | undefined> {
  const url = env[setting];
  return url ? settings[setting](url) : undefined;
}

/** Throws when one of the named servers cannot be used, and says which setting it stands in. */
export async function requireExternal(
  env: NodeJS.ProcessEnv,
  names = Object.keys(settings) as Setting[],
): Promise<void> {
  const looks = await Promise.all(names.map((name) => reachExternal(name, env)));
  const faults = looks.flatMap((look, index) =>
    look === undefined || look.ok ? [] : [`${names[index]} cannot be used: ${look.text}`],
  );
  if (faults.length > 0) throw new Explained(faults.join('\n'));
}
