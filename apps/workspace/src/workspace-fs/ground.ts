import { closeSync, constants, fstatSync, lstatSync, mkdirSync, openSync, type Stats } from 'node:fs';
import { opendir } from 'node:fs/promises';
import { Descriptor, openerFor, type OpenBeneath, type Strategy } from './beneath.js';
import type { WorkspaceLimits } from './limits.js';
import { errnoOf, refused } from './refusal.js';
import { loadSystemCalls, O_CLOEXEC, O_DIRECTORY, O_PATH, O_RDONLY, type SystemCalls } from './system-calls.js';
import { isTenant, parseWorkspacePath } from './workspace-path.js';

/** What every operation stands on: the root by descriptor, so that renaming or replacing its path changes nothing. */
export type Ground = {
  root: number;
  device: number;
  strategy: Strategy;
  limits: WorkspaceLimits;
  calls: SystemCalls;
  open: OpenBeneath;
  close(): void;
};

/** Throws where this system gives no safe way to a tenant's files. */
export function standOn(root: string, limits: WorkspaceLimits, forced?: Strategy): Ground {
  const calls = loadSystemCalls();
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const fd = openSync(root, constants.O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  try {
    return {
      root: fd,
      device: fstatSync(fd).dev,
      limits,
      calls,
      ...openerFor(calls, fd, forced),
      close: () => closeSync(fd),
    };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** A place in a tenant's files, parsed: the components begin with the tenant. */
export type Place = {
  components: readonly [tenant: string, ...names: string[]];
  parent: readonly string[];
  name: string;
};

export function placeOf(tenant: string, path: string): Place {
  const names = namesOf(path);
  return {
    components: [tenantOf(tenant), ...names],
    parent: [tenant, ...names.slice(0, -1)],
    name: names.at(-1) ?? '',
  };
}

/** As `placeOf`, for an operation on a directory, where the empty path is the workspace itself. */
export function directoryOf(tenant: string, path: string): readonly [tenant: string, ...names: string[]] {
  return [tenantOf(tenant), ...(path === '' ? [] : namesOf(path))];
}

export function tenantOf(tenant: string): string {
  if (!isTenant(tenant)) throw refused('path_refused', 'this is not the name of a tenant');
  return tenant;
}

function namesOf(path: string): readonly string[] {
  const parsed = parseWorkspacePath(path);
  if (!parsed.ok) throw refused(parsed.code, parsed.reason);
  return parsed.components;
}

export const openDirectory = (ground: Ground, components: readonly string[]): Descriptor =>
  ground.open(ground.root, components, O_RDONLY | O_DIRECTORY);

/** What stands at a name, itself and not what it may point to; undefined where nothing does. */
export function lookAt(
  ground: Ground,
  directory: number,
  components: readonly string[] | readonly [Buffer],
): Stats | undefined {
  try {
    using found = ground.open(directory, components, O_PATH);
    return fstatSync(found.fd);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** As `lookAt`, for a name just read from the directory; cheaper, and it sees mounts and the like without refusing them. */
export function lookAtChild(directory: number, name: Buffer): Stats | undefined {
  try {
    return lstatSync(Buffer.concat([Buffer.from(`/proc/self/fd/${directory}/`), name]));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** A file that is nobody else's: regular, of one name, on the workspace's own file system. No name at all: replaced since it was opened. */
export const isOwnFile = (ground: Ground, stats: Stats): boolean =>
  stats.isFile() && stats.nlink <= 1 && stats.dev === ground.device;

/** Every name in a directory, raw, in the order of the disk, a few at a time. */
export async function* rawNames(directory: number): AsyncGenerator<Buffer> {
  // Through the descriptor, so this lists the directory that was opened whatever its path leads to by now.
  const opened = await opendir(`/proc/self/fd/${directory}`, { encoding: 'latin1', bufferSize: 64 });
  for await (const found of opened) yield Buffer.from(found.name, 'latin1');
}

/** Lets other work run in between a long row of system calls. */
export const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
