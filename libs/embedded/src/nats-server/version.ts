import { exec } from './exec.js';

/** Reef needs multiple filter subjects, sync_interval and stream metadata: all since 2.10. */
export const oldestUsable = { major: 2, minor: 10 } as const;

export interface Usable {
  readonly usable: true;
  readonly path: string;
  readonly version: string;
}

export interface Unusable {
  readonly usable: false;
  readonly reason: string;
}

/** Asks a binary for its version; unusable when it does not run here or is older than 2.10. */
export async function checkBinary(path: string, env: NodeJS.ProcessEnv): Promise<Usable | Unusable> {
  const ran = await exec(path, ['--version'], { env, limitMs: 10_000 });
  if (!ran.ok) return { usable: false, reason: ran.reason };
  const version = /v?(\d+)\.(\d+)\.(\d+[\w.+-]*)/.exec(ran.stdout);
  if (version === null) return { usable: false, reason: `${path} prints no version` };
  const [major, minor] = [Number(version[1]), Number(version[2])];
  const text = `${major}.${minor}.${version[3]}`;
  if (major < oldestUsable.major || (major === oldestUsable.major && minor < oldestUsable.minor)) {
    return {
      usable: false,
      reason: `${path} is ${text}; ${oldestUsable.major}.${oldestUsable.minor} or newer is needed`,
    };
  }
  return { usable: true, path, version: text };
}
