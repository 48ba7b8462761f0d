import type { Refusal, TransportRefusal } from '@reef/contracts';
import { refuse } from '@reef/eventing/pure';
import { readArchive } from './archive/read-archive.js';
import { type ArchiveSource, writeArchive } from './archive/write-archive.js';
import type { Disk } from './disk.js';
import {
  ARCHIVES_AT_ONCE_MAX,
  ARCHIVES_WAITING_MAX,
  FILE_BYTES_MAX,
  QUOTA_FILES_MAX,
  UNPACKED_BYTES_MAX,
} from './limits.js';
import { parseFilePath } from './paths.js';

export interface UnpackedFile {
  readonly path: string;
  readonly content: Buffer;
  readonly executable: boolean;
}

const TOO_LARGE: ReadonlySet<string> = new Set(['archive_too_large', 'unpacked_too_large', 'file_too_large']);
/** Any of these at the top makes a folder a workspace. */
const MARKS = ['AGENTS.md', 'SOUL.md'];

/** Judges a whole archive and gives its files under their paths in an agent's folder. Folders come with their files. */
export async function unpack(
  archive: Buffer,
  agent: string,
): Promise<{ ok: true; files: UnpackedFile[] } | Refusal<'archive_refused' | 'too_large'>> {
  const read = await readArchive(archive, {
    archiveBytesMax: FILE_BYTES_MAX,
    unpackedBytesMax: UNPACKED_BYTES_MAX,
    fileBytesMax: FILE_BYTES_MAX,
    entriesMax: 2 * QUOTA_FILES_MAX,
  });
  if (!read.ok) {
    const { code, reason, entryNumber } = read;
    const details = { reason: code, ...(entryNumber !== undefined && { entryNumber }) };
    return refuse(TOO_LARGE.has(code) ? 'too_large' : 'archive_refused', reason, details);
  }
  const entries = read.entries.filter((entry) => entry.kind === 'file');
  const top = commonTop(entries.map(({ path }) => path));
  const files: UnpackedFile[] = [];
  for (const { path, bytes, executable } of entries) {
    const parsed = parseFilePath(`${agent}/${path.slice(top.length)}`);
    if (!parsed.ok) return refuse('archive_refused', parsed.message, { reason: parsed.code });
    files.push({ path: parsed.path, content: bytes, executable });
  }
  return { ok: true, files };
}

/** The one folder, with its slash, in which somebody packed a workspace; empty where the workspace is at the top. */
function commonTop(paths: readonly string[]): string {
  const top = paths[0]?.split('/', 1)[0];
  if (top === undefined) return '';
  const isWorkspace = MARKS.some((mark) => paths.includes(`${top}/${mark}`));
  return isWorkspace && paths.every((path) => path.startsWith(`${top}/`)) ? `${top}/` : '';
}

/** Packs files as they lie on disk; the same files give the same bytes. No file may change meanwhile. */
export async function packed(
  disk: Disk,
  tenant: string,
  agent: string,
  paths: readonly string[],
): Promise<AsyncIterable<Buffer>> {
  const sources: ArchiveSource[] = [];
  for (const path of paths) {
    const facts = await disk.fs.stat(tenant, path);
    if (!facts.ok) throw new Error(`a file that the log has is not there: ${facts.code}`);
    sources.push({
      kind: 'file',
      path: path.slice(agent.length + 1),
      executable: facts.executable,
      content: async () => {
        const opened = await disk.fs.readStream(tenant, path);
        if (!opened.ok) throw new Error(`a file that the log has could not be read: ${opened.code}`);
        return { sizeBytes: opened.sizeBytes, stream: opened.stream };
      },
    });
  }
  return writeArchive(sources);
}

/** Lets a few archives be worked on at once, so that they cannot fill the memory together. */
export class ArchiveQueue {
  #working = 0;
  readonly #waiting: (() => void)[] = [];

  async run<T>(work: () => Promise<T>): Promise<T | Refusal<TransportRefusal>> {
    if (this.#working >= ARCHIVES_AT_ONCE_MAX) {
      if (this.#waiting.length >= ARCHIVES_WAITING_MAX)
        return refuse<TransportRefusal>('overloaded', 'too many archives are being read or written');
      await new Promise<void>((go) => this.#waiting.push(go));
    } else this.#working++;
    try {
      return await work();
    } finally {
      // The place is handed on, not given up, so nobody can slip in between.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#working--;
    }
  }
}
