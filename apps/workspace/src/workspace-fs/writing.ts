import { fchmodSync, fstatSync, type Stats } from 'node:fs';
import { breathe, directoryOf, isOwnFile, lookAt, openDirectory, placeOf, type Ground, type Place } from './ground.js';
import { answer, errnoOf, refused, type Answer } from './refusal.js';
import { fsync, type Staging } from './staging.js';
import { AT_REMOVEDIR, O_DIRECTORY, O_RDONLY, RENAME_NOREPLACE } from './system-calls.js';
import type { Account, TenantLedger, Usage } from './tenant-ledger.js';

export type Change = { ground: Ground; staging: Staging; ledger: TenantLedger };
/** `executable` left out keeps what a file being replaced had; a new one is not executable. */
export type FileToWrite = { path: string; bytes: Uint8Array; executable?: boolean };

const directoryMode = 0o700;
const stagedAtOnceMax = 16;
const callsBetweenBreaths = 64;

/**
 * Writes many files as one change: nothing takes its name before every path is accepted, the quota admits all of them, and all bytes are
 * on disk. A reader sees the old content or the new, never a part. After a crash some of the files may have their names already.
 */
export function writeAll(
  change: Change,
  tenant: string,
  files: readonly FileToWrite[],
  directories: readonly string[] = [],
  mayReplace = true,
): Promise<Answer<Usage>> {
  const { ground, staging, ledger } = change;
  return answer(async () => {
    const places = files.map((file) => ({ file, place: placeOf(tenant, file.path) }));
    const wanted = directories.map((directory) => directoryOf(tenant, directory));
    if (files.some((file) => file.bytes.byteLength > ground.limits.fileBytesMax))
      throw refused('too_large', 'a file is larger than the limit');
    if (new Set(files.map((file) => file.path)).size < files.length) throw refused('exists', 'a path is named twice');
    return ledger.run(tenant, async (account) => {
      const missing = missingDirectories(ground, [...wanted, ...places.map(({ place }) => place.parent)]);
      const growth: Usage = { bytes: 0, files: missing.counted };
      const targets = places.map(({ file, place }) => {
        if (missing.has(place.components)) throw refused('exists', 'a path is both a file and a directory');
        const standing = missing.has(place.parent) ? undefined : replaceable(ground, place, mayReplace);
        growth.bytes += file.bytes.byteLength - (standing?.size ?? 0);
        growth.files += standing ? 0 : 1;
        return { file, place, executable: file.executable ?? ((standing?.mode ?? 0) & 0o100) !== 0 };
      });
      await account.admit(growth);
      const staged = await stageAll(staging, targets);
      account.touch();
      try {
        const directory = await staging.directory();
        for (const [index, components] of missing.all.entries()) {
          makeDirectory(ground, components);
          if (index % callsBetweenBreaths === callsBetweenBreaths - 1) await breathe();
        }
        for (const [index, { place }] of targets.entries()) {
          using parent = openDirectory(ground, place.parent);
          const name = staged[index];
          if (name === undefined) throw new Error('a staged file is missing');
          ground.calls.renameat2(directory, name, parent.fd, place.name, mayReplace ? 0 : RENAME_NOREPLACE);
          staged[index] = undefined;
          if (index % callsBetweenBreaths === callsBetweenBreaths - 1) await breathe();
        }
      } finally {
        for (const name of staged) if (name !== undefined) await staging.discard(name);
      }
      await syncDirectories(ground, [
        ...missing.all.map((made) => made.slice(0, -1)),
        ...places.map(({ place }) => place.parent),
      ]);
      account.record(growth);
      return await account.usage();
    });
  });
}

/** Makes a directory and those above it. One that stands there already is as good. */
export function mkdir(change: Change, tenant: string, path: string): Promise<Answer<Usage>> {
  return writeAll(change, tenant, [], [path]);
}

/** Removes what stands at a path: a link itself, never what it points to. A directory that holds something needs `recursive`. */
export function remove(
  change: Change,
  tenant: string,
  path: string,
  options: { recursive?: boolean } = {},
): Promise<Answer<Usage>> {
  const { ground, staging, ledger } = change;
  return answer(async () => {
    const place = placeOf(tenant, path);
    return ledger.run(tenant, async (account) => {
      using parent = openDirectory(ground, place.parent);
      const standing = lookAt(ground, parent.fd, [place.name]);
      if (!standing) throw refused('not_found', 'nothing stands at this path');
      // Counted before, because afterwards it would be counted without what is subtracted.
      await usageIfCountable(account);
      let freed: Usage = { bytes: standing.size, files: 1 };
      if (!standing.isDirectory()) ground.calls.unlinkat(parent.fd, place.name, 0);
      else if (options.recursive) freed = await staging.removeTree(parent.fd, place.name, () => account.touch());
      else {
        ground.calls.unlinkat(parent.fd, place.name, AT_REMOVEDIR);
        freed = { bytes: 0, files: 1 };
      }
      account.touch();
      await fsync(parent.fd);
      account.record({ bytes: -freed.bytes, files: -freed.files });
      return freed;
    });
  });
}

export type MoveOptions = {
  mayReplace?: boolean;
  /** False leaves it to the system when the new name reaches the disk, for a caller who can find the file under either. */
  durable?: boolean;
};

/** Renames within one tenant. Only a file may be replaced, only by a file, and only where the caller says so. */
export function move(
  change: Change,
  tenant: string,
  from: string,
  to: string,
  options: MoveOptions = {},
): Promise<Answer> {
  const { ground, ledger } = change;
  return answer(async () => {
    const source = placeOf(tenant, from);
    const target = placeOf(tenant, to);
    if (source.components.every((name, level) => target.components[level] === name)) {
      throw refused('path_refused', 'a directory cannot be moved into itself');
    }
    return ledger.run(tenant, async (account) => {
      const standing = lookAt(ground, ground.root, source.components);
      if (!standing) throw refused('not_found', 'nothing stands at this path');
      if (!standing.isDirectory() && !isOwnFile(ground, standing))
        throw refused('path_refused', 'a link or special file cannot be moved');
      const missing = missingDirectories(ground, [target.parent]);
      const mayReplace = (options.mayReplace ?? false) && !standing.isDirectory();
      const replaced = missing.has(target.parent) ? undefined : replaceable(ground, target, mayReplace);
      const growth: Usage = { bytes: -(replaced?.size ?? 0), files: missing.counted - (replaced ? 1 : 0) };
      await account.admit(growth);
      account.touch();
      for (const components of missing.all) makeDirectory(ground, components);
      using fromParent = openDirectory(ground, source.parent);
      using toParent = openDirectory(ground, target.parent);
      ground.calls.renameat2(fromParent.fd, source.name, toParent.fd, target.name, mayReplace ? 0 : RENAME_NOREPLACE);
      if (options.durable ?? true)
        await syncDirectories(ground, [source.parent, target.parent, ...missing.all.map((made) => made.slice(0, -1))]);
      account.record(growth);
      return {};
    });
  });
}

/** The file a write would replace, or undefined; throws where what stands there must not be replaced. */
function replaceable(ground: Ground, place: Place, mayReplace: boolean): Stats | undefined {
  const standing = lookAt(ground, ground.root, place.components);
  if (!standing) return undefined;
  if (!mayReplace) throw refused('exists', 'something already stands at this path');
  if (standing.isSymbolicLink()) throw refused('path_refused', 'a symbolic link stands in the way');
  if (!standing.isFile()) throw refused('not_a_file', 'what stands at this path is not a regular file');
  if (!isOwnFile(ground, standing))
    throw refused('path_refused', 'the file has a second name or lies on another file system');
  return standing;
}

type MissingDirectories = { all: (readonly string[])[]; counted: number; has(components: readonly string[]): boolean };

/** Which directories are still to be made, parents first. The tenant's own is not counted against the tenant. */
function missingDirectories(ground: Ground, wanted: readonly (readonly string[])[]): MissingDirectories {
  const standing = new Set<string>();
  const missing = new Map<string, readonly string[]>();
  for (const directory of wanted) {
    for (let levels = 1; levels <= directory.length; levels++) {
      const components = directory.slice(0, levels);
      const key = components.join('/');
      if (standing.has(key) || missing.has(key)) continue;
      if (missing.has(components.slice(0, -1).join('/'))) missing.set(key, components);
      else if (isDirectory(ground, components)) standing.add(key);
      else missing.set(key, components);
    }
  }
  const all = [...missing.values()];
  return {
    all,
    counted: all.filter((made) => made.length > 1).length,
    has: (components) => missing.has(components.join('/')),
  };
}

function isDirectory(ground: Ground, components: readonly string[]): boolean {
  const standing = lookAt(ground, ground.root, components);
  if (!standing) return false;
  if (standing.isSymbolicLink()) throw refused('path_refused', 'a symbolic link stands in the way');
  if (!standing.isDirectory()) throw refused('not_a_directory', 'a part of this path is not a directory');
  return true;
}

function makeDirectory(ground: Ground, components: readonly string[]): void {
  const name = components.at(-1);
  if (name === undefined) throw new Error('the root is not made here');
  using parent = components.length === 1 ? undefined : openDirectory(ground, components.slice(0, -1));
  const parentFd = parent?.fd ?? ground.root;
  try {
    ground.calls.mkdirat(parentFd, name, directoryMode);
  } catch (error) {
    // A sandbox was faster; what it made is looked at when it is opened.
    if (errnoOf(error) !== 'EEXIST') throw error;
    return;
  }
  using made = ground.open(parentFd, [name], O_RDONLY | O_DIRECTORY);
  if ((fstatSync(made.fd).mode & 0o777) !== directoryMode) fchmodSync(made.fd, directoryMode);
}

async function stageAll(
  staging: Staging,
  files: readonly { file: FileToWrite; executable: boolean }[],
): Promise<(string | undefined)[]> {
  const staged: (string | undefined)[] = [];
  for (let start = 0; start < files.length; start += stagedAtOnceMax) {
    const results = await Promise.allSettled(
      files.slice(start, start + stagedAtOnceMax).map(({ file, executable }) => staging.write(file.bytes, executable)),
    );
    staged.push(...results.map((result) => (result.status === 'fulfilled' ? result.value : undefined)));
    const failure = results.find((result) => result.status === 'rejected');
    if (failure) {
      for (const name of staged) if (name !== undefined) await staging.discard(name);
      throw failure.reason;
    }
  }
  return staged;
}

/** A new name is on disk only when its directory is. */
async function syncDirectories(ground: Ground, directories: readonly (readonly string[])[]): Promise<void> {
  const distinct = new Map(directories.map((components) => [components.join('/'), components]));
  for (const components of distinct.values()) {
    using directory = components.length === 0 ? undefined : openDirectory(ground, components);
    await fsync(directory?.fd ?? ground.root);
  }
}

/** A tree too large to be counted must still be removable: then the usage stays unknown. */
async function usageIfCountable(account: Account): Promise<void> {
  try {
    await account.usage();
  } catch (error) {
    if (!(error instanceof Error && 'refusal' in error)) throw error;
  }
}
