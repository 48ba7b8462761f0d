import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { pack, type Header, type Pack } from 'tar-stream';

/** A file's content is opened only when its turn comes, so an export holds one file's chunk in memory. */
export type ArchiveSource =
  | {
      kind: 'file';
      path: string;
      executable: boolean;
      content: Uint8Array | (() => Promise<{ sizeBytes: number; stream: Readable }>);
    }
  | { kind: 'directory'; path: string };

/**
 * Packs a tar.gz whose bytes depend on paths, bytes and the executable mark alone: sorted, without times or owners. The stream fails
 * where a file cannot be read to the size it had when it was opened; an archive is whole or it is an error.
 */
export function writeArchive(entries: readonly ArchiveSource[]): Readable {
  const sorted = entries.toSorted((one, other) => (one.path < other.path ? -1 : one.path > other.path ? 1 : 0));
  return Readable.from(packed(sorted), { objectMode: false });
}

/** A generator, so that nothing is opened before somebody reads, and a reader who leaves closes what is open. */
async function* packed(entries: readonly ArchiveSource[]): AsyncGenerator<Buffer> {
  const tar = pack();
  const gzip = createGzip({ level: 6 });
  const filled = fill(tar, entries).catch((error: unknown) => {
    tar.destroy(error instanceof Error ? error : new Error('the archive could not be written'));
  });
  const piped = pipeline(tar, gzip);
  // Awaited below; a reader who leaves early never gets there.
  piped.catch(() => undefined);
  yield* gzip;
  await Promise.all([filled, piped]);
}

async function fill(tar: Pack, entries: readonly ArchiveSource[]): Promise<void> {
  for (const entry of entries) {
    if (entry.kind === 'directory')
      await entryWritten(tar, { ...sameForAll, type: 'directory', name: `${entry.path}/`, mode: 0o755 });
    else if (entry.content instanceof Uint8Array)
      await entryWritten(tar, fileHeader(entry), Buffer.from(entry.content));
    else {
      const { sizeBytes, stream } = await entry.content();
      await pipeline(stream, tar.entry({ ...fileHeader(entry), size: sizeBytes }));
    }
  }
  tar.finalize();
}

type NamedHeader = Partial<Header> & { name: string };

const sameForAll: Partial<Header> = { mtime: new Date(0), uid: 0, gid: 0, uname: '', gname: '' };

const fileHeader = (entry: { path: string; executable: boolean }): NamedHeader => ({
  ...sameForAll,
  type: 'file',
  name: entry.path,
  mode: entry.executable ? 0o755 : 0o644,
});

const entryWritten = (tar: Pack, header: NamedHeader, bytes?: Buffer): Promise<void> =>
  new Promise((resolve, reject) => {
    const done = (error?: Error | null): void => (error ? reject(error) : resolve());
    if (bytes) tar.entry(header, bytes, done);
    else tar.entry(header, done);
  });
