import {
  ArchiveRefused,
  archiveRefused,
  defaultArchiveLimits,
  type ArchiveEntry,
  type ArchiveLimits,
  type ArchiveRefusal,
} from './archive-entry.js';
import { EntryInspector } from './entry-inspector.js';
import { readTarGz } from './read-tar-gz.js';
import { readZip } from './read-zip.js';

/**
 * Reads a tar.gz or zip, told apart by its first bytes, wholly into memory (at most `unpackedBytesMax`) and judges every entry: the
 * entries of an answer are all fit to be written, and one that is not refuses the archive.
 */
export async function readArchive(
  source: Uint8Array | AsyncIterable<Uint8Array>,
  limits: Partial<ArchiveLimits> = {},
): Promise<{ ok: true; entries: ArchiveEntry[] } | ArchiveRefusal> {
  const bounds = { ...defaultArchiveLimits, ...limits };
  try {
    const archive = await collected(source, bounds.archiveBytesMax);
    const inspector = new EntryInspector(bounds, archive.length);
    if (archive[0] === 0x1f && archive[1] === 0x8b)
      return { ok: true, entries: await readTarGz(archive, inspector, bounds) };
    const magic = archive.length < 4 ? 0 : archive.readUInt32LE(0);
    // A zip of nothing begins with the end of its directory.
    if (magic === 0x04034b50 || magic === 0x06054b50)
      return { ok: true, entries: await readZip(archive, inspector, bounds) };
    throw archiveRefused('format_unknown', 'the archive is neither tar.gz nor zip');
  } catch (error) {
    if (error instanceof ArchiveRefused) return error.refusal;
    throw error;
  }
}

async function collected(source: Uint8Array | AsyncIterable<Uint8Array>, bytesMax: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of source instanceof Uint8Array ? [source] : source) {
    bytes += chunk.byteLength;
    if (bytes > bytesMax) throw archiveRefused('archive_too_large', 'the archive is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
