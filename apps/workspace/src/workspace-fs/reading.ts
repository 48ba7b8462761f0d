import { createReadStream, fstatSync, read as readCallback, readSync, type Stats } from 'node:fs';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import type { Descriptor } from './beneath.js';
import {
  directoryOf,
  isOwnFile,
  lookAt,
  lookAtChild,
  openDirectory,
  placeOf,
  rawNames,
  type Ground,
} from './ground.js';
import { answer, errnoOf, refused, type Answer } from './refusal.js';
import { O_DIRECTORY, O_RDONLY } from './system-calls.js';
import { pathLevelsMax, whyNameIsRefused } from './workspace-path.js';

/** `other` is what the port neither reads nor follows: a link of either kind, a pipe, socket or device, a mount. It can be removed. */
export type EntryKind = 'file' | 'directory' | 'other';
export type EntryFacts = { kind: EntryKind; sizeBytes: number; modifiedAtMs: number; executable: boolean };
export type Entry = EntryFacts & { path: string };
/** `hidden` counts names on this page's way that no workspace path can spell; only a sandbox can have made them. */
export type Page = { entries: Entry[]; nextCursor: string | undefined; hidden: number };
export type ListOptions = { limit?: number; cursor?: string; recursive?: boolean };

/** Up to here a blocking read costs less than handing the work to a thread. */
const blockingBytesMax = 64 * 1024;
const readLater = promisify(readCallback);

export type ReadOptions = {
  maxBytes?: number;
  /** Some bytes only, none past the end; `sizeBytes` is the whole file's all the same, and `maxBytes` is about the part. */
  range?: { offset: number; bytesMax: number };
};

export async function read(
  ground: Ground,
  tenant: string,
  path: string,
  options: ReadOptions = {},
): Promise<Answer<{ bytes: Buffer } & EntryFacts>> {
  return answer(async () => {
    using file = openFile(ground, tenant, path);
    const stats = ownFile(ground, file);
    const start = Math.min(options.range?.offset ?? 0, stats.size);
    const sizeBytes = Math.min(options.range?.bytesMax ?? stats.size, stats.size - start);
    if (sizeBytes > (options.maxBytes ?? ground.limits.fileBytesMax))
      throw refused('too_large', 'the file is larger than asked for');
    return { bytes: await contentOf(file.fd, start, sizeBytes), ...factsOf(ground, stats) };
  });
}

/** The size is what it was at opening, and the stream gives no more than that; it gives less where a sandbox truncates meanwhile. */
export async function readStream(
  ground: Ground,
  open: Map<string, number>,
  tenant: string,
  path: string,
  options: { maxBytes?: number } = {},
): Promise<Answer<{ stream: Readable } & EntryFacts>> {
  return answer(() => {
    using file = openFile(ground, tenant, path);
    const stats = ownFile(ground, file);
    if (stats.size > (options.maxBytes ?? Infinity)) throw refused('too_large', 'the file is larger than asked for');
    const others = open.get(tenant) ?? 0;
    if (others >= ground.limits.streamsMax) throw refused('busy', 'too many streams of this workspace are open');
    if (stats.size === 0) return { stream: Readable.from([]), ...factsOf(ground, stats) };
    open.set(tenant, others + 1);
    const stream = createReadStream('', { fd: file.release(), start: 0, end: stats.size - 1 });
    stream.once('close', () => {
      const left = (open.get(tenant) ?? 1) - 1;
      if (left > 0) open.set(tenant, left);
      else open.delete(tenant);
    });
    return { stream, ...factsOf(ground, stats) };
  });
}

export async function stat(ground: Ground, tenant: string, path: string): Promise<Answer<EntryFacts>> {
  return answer(() => {
    const found = lookAt(ground, ground.root, placeOf(tenant, path).components);
    if (!found) throw refused('not_found', 'nothing stands at this path');
    return factsOf(ground, found);
  });
}

/**
 * Entries in the order of a walk: a directory, then what it holds, names sorted by UTF-16 unit. The cursor is the last path given, so
 * a page continues rightly though entries come and go in between. A workspace nobody has written to is empty, not missing.
 */
export async function list(
  ground: Ground,
  tenant: string,
  directory: string,
  options: ListOptions = {},
): Promise<Answer<Page>> {
  return answer(async () => {
    const components = directoryOf(tenant, directory);
    const limit = Math.max(1, Math.min(options.limit ?? ground.limits.pageMax, ground.limits.pageMax));
    const after = options.cursor === undefined ? [] : cursorBelow(tenant, directory, options.cursor);
    const page: Page = { entries: [], nextCursor: undefined, hidden: 0 };
    let opened: Descriptor;
    try {
      opened = openDirectory(ground, components);
    } catch (error) {
      if (directory === '' && errnoOf(error) === 'ENOENT') return page;
      throw error;
    }
    using top = opened;
    for await (const entry of descend(ground, top.fd, components.slice(1), after, options.recursive ?? false, page)) {
      if (page.entries.length === limit) {
        page.nextCursor = page.entries.at(-1)?.path;
        break;
      }
      page.entries.push(entry);
    }
    return page;
  });
}

/** Every entry below a directory, a page at a time, so nothing stays open while the caller is busy. A refusal is the last item. */
export async function* walk(ground: Ground, tenant: string, directory: string): AsyncGenerator<Answer<Entry>> {
  let cursor: string | undefined;
  do {
    const page = await list(ground, tenant, directory, {
      recursive: true,
      ...(cursor === undefined ? {} : { cursor }),
    });
    if (!page.ok) return yield page;
    for (const entry of page.entries) yield { ok: true, ...entry };
    cursor = page.nextCursor;
  } while (cursor !== undefined);
}

async function* descend(
  ground: Ground,
  directory: number,
  above: readonly string[],
  after: readonly string[],
  recursive: boolean,
  page: Page,
): AsyncGenerator<Entry> {
  const [first, ...rest] = after;
  for (const name of await sortedNames(ground, directory, page)) {
    if (first !== undefined && name < first) continue;
    const stats = lookAtChild(directory, Buffer.from(name));
    if (!stats) continue;
    const path = [...above, name];
    const facts = factsOf(ground, stats);
    if (name !== first) yield { path: path.join('/'), ...facts };
    if (recursive && facts.kind === 'directory' && path.length < pathLevelsMax) {
      using child = openUnlessSwapped(ground, directory, name);
      if (child) yield* descend(ground, child.fd, path, name === first ? rest : [], true, page);
    }
  }
}

async function sortedNames(ground: Ground, directory: number, page: Page): Promise<string[]> {
  const names: string[] = [];
  for await (const raw of rawNames(directory)) {
    const name = raw.toString('utf8');
    if (Buffer.from(name).equals(raw) && whyNameIsRefused(name) === undefined) names.push(name);
    else page.hidden++;
    if (names.length > ground.limits.directoryNamesMax)
      throw refused('too_large', 'the directory holds too many names to be listed');
  }
  return names.sort();
}

function openUnlessSwapped(ground: Ground, directory: number, name: string): Descriptor | undefined {
  try {
    return ground.open(directory, [name], O_RDONLY | O_DIRECTORY);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'EXDEV'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}

/** A cursor is a path of the same directory, and as untrusted as any other. */
function cursorBelow(tenant: string, directory: string, cursor: string): string[] {
  const [, ...names] = directoryOf(tenant, directory);
  const [, ...cursorNames] = placeOf(tenant, cursor).components;
  if (names.some((name, level) => cursorNames[level] !== name))
    throw refused('path_refused', 'the cursor is of another directory');
  return cursorNames.slice(names.length);
}

const openFile = (ground: Ground, tenant: string, path: string): Descriptor =>
  ground.open(ground.root, placeOf(tenant, path).components, O_RDONLY);

function ownFile(ground: Ground, file: Descriptor): Stats {
  const stats = fstatSync(file.fd);
  if (!stats.isFile()) throw refused('not_a_file', 'what stands at this path is not a regular file');
  // A second name may be another tenant's, or lie outside: what it was linked from is unknowable here.
  if (!isOwnFile(ground, stats))
    throw refused('path_refused', 'the file has a second name or lies on another file system');
  return stats;
}

export function factsOf(ground: Ground, stats: Stats): EntryFacts {
  const kind = isOwnFile(ground, stats)
    ? 'file'
    : stats.isDirectory() && stats.dev === ground.device
      ? 'directory'
      : 'other';
  return {
    kind,
    sizeBytes: kind === 'directory' ? 0 : stats.size,
    modifiedAtMs: stats.mtimeMs,
    executable: kind === 'file' && (stats.mode & 0o100) !== 0,
  };
}

async function contentOf(file: number, start: number, sizeBytes: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(sizeBytes);
  let filled = 0;
  while (filled < sizeBytes) {
    const more =
      sizeBytes <= blockingBytesMax
        ? readSync(file, bytes, filled, sizeBytes - filled, start + filled)
        : (await readLater(file, bytes, filled, sizeBytes - filled, start + filled)).bytesRead;
    if (more === 0) break;
    filled += more;
  }
  // Truncated by a sandbox since its size was read.
  return filled === sizeBytes ? bytes : bytes.subarray(0, filled);
}
