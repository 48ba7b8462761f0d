import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract, type Header } from 'tar-stream';
import { ArchiveRefused, archiveRefused, type ArchiveEntry, type ArchiveLimits } from './archive-entry.js';
import type { EntryInspector } from './entry-inspector.js';

// An entry has a header of its own and may have one or two extended ones before it, each with a block of text, and padding.
const tarOverheadBytes = 8 * 512;

export async function readTarGz(
  archive: Buffer,
  inspector: EntryInspector,
  limits: ArchiveLimits,
): Promise<ArchiveEntry[]> {
  const entries: ArchiveEntry[] = [];
  const parser = extract();
  parser.on('entry', (header, content, next) => {
    // A refusal destroys the entry along with the parser; without a listener that error would end the process.
    content.on('error', () => undefined);
    readEntry(header, content as AsyncIterable<Buffer>, inspector).then(
      (entry) => {
        if (entry) entries.push(entry);
        next();
      },
      (error: unknown) => parser.destroy(error instanceof Error ? error : new Error('the entry could not be read')),
    );
  });
  try {
    await pipeline(Readable.from([archive]), createGunzip(), tarMeter(archive.length, limits), parser);
  } catch (error) {
    if (error instanceof ArchiveRefused) throw error;
    throw archiveRefused('damaged', 'the tar.gz is damaged', inspector.entryNumber);
  }
  return entries;
}

/** Stops a bomb that hides in what never becomes a file: headers, padding, members after the end. */
function tarMeter(archiveBytes: number, limits: ArchiveLimits): Transform {
  const tarBytesMax = limits.unpackedBytesMax + limits.entriesMax * tarOverheadBytes;
  let bytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      if (bytes > tarBytesMax) done(archiveRefused('unpacked_too_large', 'the archive unpacks to too much'));
      else if (bytes > Math.max(limits.ratioFreeBytes, archiveBytes * limits.ratioMax)) {
        done(archiveRefused('ratio_exceeded', 'the archive unpacks to far more than its size'));
      } else done(null, chunk);
    },
  });
}

async function readEntry(
  header: Header,
  content: AsyncIterable<Buffer>,
  inspector: EntryInspector,
): Promise<ArchiveEntry | undefined> {
  const sizeBytes = header.size;
  const kind = header.type;
  if (kind !== 'file' && kind !== 'directory') {
    throw inspector.refusedNext('kind_refused', 'the archive holds an entry that is neither a file nor a directory');
  }
  const path = inspector.admit(header.name, kind, sizeBytes);
  if (isSparse(header)) throw inspector.refused('kind_refused', 'the archive holds a sparse file');
  if (kind === 'directory') {
    if (sizeBytes > 0) throw inspector.refused('header_mismatch', 'a directory in the archive has content');
    for await (const _none of content);
    return path === undefined ? undefined : { kind, path };
  }
  if (path === undefined) throw inspector.refused('path_refused', 'a file in the archive has no name');
  const chunks: Buffer[] = [];
  for await (const chunk of content) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  if (bytes.length !== sizeBytes) throw inspector.refused('damaged', 'a file in the archive is cut short');
  return { kind: 'file', path, bytes, executable: (header.mode & 0o100) !== 0 };
}

const isSparse = (header: Header): boolean =>
  typeof header.pax === 'object' &&
  header.pax !== null &&
  Object.keys(header.pax).some((key) => key.startsWith('GNU.sparse'));
