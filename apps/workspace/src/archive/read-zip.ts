import { promisify } from 'node:util';
import { crc32, inflateRaw } from 'node:zlib';
import * as yauzl from 'yauzl';
import { ArchiveRefused, archiveRefused, type ArchiveEntry, type ArchiveLimits } from './archive-entry.js';
import type { EntryInspector } from './entry-inspector.js';

/** The parts of yauzl 3 that its published types (of version 2) lack; names are raw bytes because `decodeStrings` is off. */
type ZipEntry = Omit<yauzl.Entry, 'fileName'> & { fileName: Buffer; fileNameLength: number; fileCommentLength: number };
type LocalHeader = {
  fileDataStart: number;
  generalPurposeBitFlag: number;
  compressionMethod: number;
  crc32: number;
  compressedSize: number;
  uncompressedSize: number;
  fileName: Buffer;
  extraField: Buffer;
};
type ZipDirectory = {
  entryCount: number;
  readEntryCursor: number;
  eachEntry(): AsyncIterable<ZipEntry>;
  readLocalFileHeaderPromise(entry: ZipEntry, options: object): Promise<LocalHeader>;
};
const openZip = (yauzl as unknown as { fromBufferPromise(bytes: Buffer, options: object): Promise<ZipDirectory> })
  .fromBufferPromise;
const inflate = promisify<Buffer, { maxOutputLength: number }, Buffer>(inflateRaw);

const encryptedFlag = 0x1;
const sizesFollowFlag = 0x8;
const stored = 0;
const deflated = 8;
const zip64Marker = 0xffffffff;
const typeMask = 0o170000;
const regularType = 0o100000;
const directoryType = 0o040000;
const endOfDirectoryBytes = 22;

type Located = { entry: ZipEntry; path: string; start: number; end: number };

/** Every header is judged before the first byte is inflated, so a bomb costs no more than its own headers. */
export async function readZip(
  archive: Buffer,
  inspector: EntryInspector,
  limits: ArchiveLimits,
): Promise<ArchiveEntry[]> {
  try {
    const zip = await openZip(archive, { lazyEntries: true, decodeStrings: false, autoClose: false });
    if (zip.entryCount > limits.entriesMax)
      throw archiveRefused('too_many_entries', 'the archive holds too many entries');
    const entries: ArchiveEntry[] = [];
    const located: Located[] = [];
    const directoryStart = zip.readEntryCursor;
    const spans: { start: number; end: number }[] = [];
    for await (const entry of zip.eachEntry()) {
      const name = nameOf(entry, inspector);
      const kind = kindOf(entry, name, inspector);
      const path = inspector.admit(name, kind, entry.uncompressedSize);
      const local = await zip.readLocalFileHeaderPromise(entry, { minimal: false });
      refuseMismatch(entry, local, inspector);
      const span = { start: entry.relativeOffsetOfLocalHeader, end: local.fileDataStart + entry.compressedSize };
      spans.push(span);
      if (kind === 'directory') {
        if (entry.uncompressedSize > 0)
          throw inspector.refused('header_mismatch', 'a directory in the archive has content');
        if (path !== undefined) entries.push({ kind, path });
      } else if (path === undefined) throw inspector.refused('path_refused', 'a file in the archive has no name');
      else located.push({ entry, path, start: local.fileDataStart, end: span.end });
    }
    refuseOverlap([...spans, { start: directoryStart, end: zip.readEntryCursor }], archive);
    for (const { entry, path, start, end } of located) {
      const bytes = await contentOf(entry, archive.subarray(start, end), limits);
      entries.push({ kind: 'file', path, bytes, executable: ((entry.externalFileAttributes >>> 16) & 0o100) !== 0 });
    }
    return entries;
  } catch (error) {
    if (error instanceof ArchiveRefused) throw error;
    throw archiveRefused('damaged', 'the zip is damaged', inspector.entryNumber);
  }
}

function nameOf(entry: ZipEntry, inspector: EntryInspector): string {
  // Names of the old DOS code page are refused rather than guessed at, unless they are UTF-8 that merely is not flagged as such.
  const name = entry.fileName.toString('utf8');
  if (!Buffer.from(name).equals(entry.fileName))
    throw inspector.refusedNext('path_refused', 'a name in the archive is not UTF-8');
  return name;
}

function kindOf(entry: ZipEntry, name: string, inspector: EntryInspector): 'file' | 'directory' {
  if (entry.generalPurposeBitFlag & encryptedFlag)
    throw inspector.refusedNext('unsupported', 'the archive is encrypted');
  if (entry.compressionMethod !== stored && entry.compressionMethod !== deflated) {
    throw inspector.refusedNext('unsupported', 'the archive uses a compression other than deflate');
  }
  const type = (entry.externalFileAttributes >>> 16) & typeMask;
  const kind = name.endsWith('/') ? 'directory' : 'file';
  if (type !== 0 && type !== (kind === 'file' ? regularType : directoryType)) {
    throw inspector.refusedNext('kind_refused', 'the archive holds an entry that is neither a file nor a directory');
  }
  return kind;
}

/** Tools differ in which of the two headers they believe, so they must say the same. */
function refuseMismatch(entry: ZipEntry, local: LocalHeader, inspector: EntryInspector): void {
  // With this flag the local header leaves sizes and checksum out; zip64 writes a marker and puts the size elsewhere.
  const sizesFollow = (local.generalPurposeBitFlag & sizesFollowFlag) !== 0;
  const agrees = (here: number, there: number): boolean =>
    here === there || (sizesFollow && here === 0) || here === zip64Marker;
  if (
    !local.fileName.equals(entry.fileName) ||
    local.generalPurposeBitFlag !== entry.generalPurposeBitFlag ||
    local.compressionMethod !== entry.compressionMethod ||
    (!(sizesFollow && local.crc32 === 0) && local.crc32 !== entry.crc32) ||
    !agrees(local.compressedSize, entry.compressedSize) ||
    !agrees(local.uncompressedSize, entry.uncompressedSize)
  ) {
    throw inspector.refused('header_mismatch', 'the two headers of an entry disagree');
  }
}

/** Entries that share bytes are how a small archive unpacks to a huge one; a directory that ends early hides entries from one reader. */
function refuseOverlap(spans: { start: number; end: number }[], archive: Buffer): void {
  const inOrder = spans.toSorted((one, other) => one.start - other.start);
  let reached = 0;
  for (const span of inOrder) {
    if (span.start < reached) throw archiveRefused('header_mismatch', 'entries of the archive overlap');
    reached = span.end;
  }
  const next = reached + 4 <= archive.length ? archive.readUInt32LE(reached) : 0;
  if (archive.length - reached < endOfDirectoryBytes || (next !== 0x06054b50 && next !== 0x06064b50)) {
    throw archiveRefused('header_mismatch', 'the directory of the archive does not end where it says');
  }
}

async function contentOf(entry: ZipEntry, packed: Buffer, limits: ArchiveLimits): Promise<Buffer> {
  const bytes =
    entry.compressionMethod === stored
      ? Buffer.from(packed)
      : await inflate(packed, { maxOutputLength: Math.min(entry.uncompressedSize, limits.fileBytesMax) + 1 });
  if (bytes.length !== entry.uncompressedSize || crc32(bytes) !== entry.crc32)
    throw archiveRefused('damaged', 'a file in the archive is not what its header says');
  return bytes;
}
