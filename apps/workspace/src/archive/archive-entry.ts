/** What an archive holds once it is trusted: regular files and directories under workspace paths, nothing else. */
export type ArchiveEntry =
  { kind: 'file'; path: string; bytes: Buffer; executable: boolean } | { kind: 'directory'; path: string };

/**
 * Why an archive is refused. `entryNumber` counts from 1, so a tenant can find the entry without its hostile name being repeated.
 * - `kind_refused`: a link, device, pipe, sparse or other special entry.
 * - `header_mismatch`: two places in the archive disagree about an entry, so two programs could read two different archives.
 * - `unsupported`: encryption, or a compression other than deflate.
 */
export type ArchiveRefusalCode =
  | 'format_unknown'
  | 'archive_too_large'
  | 'unpacked_too_large'
  | 'file_too_large'
  | 'too_many_entries'
  | 'ratio_exceeded'
  | 'path_refused'
  | 'kind_refused'
  | 'duplicate_path'
  | 'header_mismatch'
  | 'unsupported'
  | 'damaged';

export type ArchiveRefusal = { ok: false; code: ArchiveRefusalCode; reason: string; entryNumber?: number };

export type ArchiveLimits = {
  archiveBytesMax: number;
  unpackedBytesMax: number;
  fileBytesMax: number;
  entriesMax: number;
  /** Unpacked bytes for one of the archive's. */
  ratioMax: number;
  /** Up to this many unpacked bytes the ratio is not looked at: a small archive of blanks is no bomb. */
  ratioFreeBytes: number;
};

const mebibyte = 1024 * 1024;

export const defaultArchiveLimits: ArchiveLimits = {
  archiveBytesMax: 20 * mebibyte,
  unpackedBytesMax: 100 * mebibyte,
  fileBytesMax: 10 * mebibyte,
  entriesMax: 10_000,
  ratioMax: 200,
  ratioFreeBytes: mebibyte,
};

/** Carries a refusal out of a parser; `readArchive` turns it into a value. Never leaves this folder. */
export class ArchiveRefused extends Error {
  constructor(readonly refusal: ArchiveRefusal) {
    super(refusal.reason);
  }
}

export const archiveRefused = (code: ArchiveRefusalCode, reason: string, entryNumber?: number): ArchiveRefused =>
  new ArchiveRefused({ ok: false, code, reason, ...(entryNumber === undefined ? {} : { entryNumber }) });
