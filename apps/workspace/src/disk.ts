import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import { type Refusal } from '@reef/contracts';
import { refuse } from '@reef/eventing/pure';
import type { Refusal as FsRefusal } from './workspace-fs/refusal.js';
import type { WorkspaceFs } from './workspace-fs/workspace-fs.js';

/** No agent's name begins with a dot, so nothing a tenant names can lie here. */
export const HIDDEN_FOLDER = '.reef';
/** Names are dealt with by system calls that block: after so many files other tenants get a turn. */
const FILES_BETWEEN_BREATHS = 32;
const STAGING_FOLDER = `${HIDDEN_FOLDER}/staging`;

export interface StagedFile {
  readonly path: string;
  readonly sha256: string;
  readonly content: Uint8Array;
  /** Left out: as the file it replaces, or not. */
  readonly executable?: boolean;
}
type Named = Pick<StagedFile, 'path' | 'sha256'>;
type DiskRefusal = Refusal<
  'path_refused' | 'not_a_file' | 'file_not_found' | 'too_large' | 'quota_exceeded' | 'unavailable' | 'overloaded'
>;

export const sha256Of = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex');

/** A staged file is named by where it belongs and what it holds, so that the log alone can say what is to become of it. */
const stagedPath = ({ path, sha256 }: Named): string => `${STAGING_FOLDER}/${sha256Of(Buffer.from(path))}-${sha256}`;

/**
 * The disk's side of a change. Bytes are staged first; the log is then asked; and what is staged goes where the log says. The rule is
 * one and the same after a crash: **a staged file is put in place if the log has its path with its hash, and is removed otherwise.**
 */
export class Disk {
  constructor(readonly fs: WorkspaceFs) {}

  /** Writes the bytes, on disk when it returns, and makes sure that nothing will stand in their way afterwards. */
  async stage(tenant: string, files: readonly StagedFile[]): Promise<DiskRefusal | undefined> {
    if (files.length === 0) return undefined;
    const toWrite = [];
    for (const folder of new Set(files.map(({ path }) => posix.dirname(path)))) {
      const made = await this.fs.mkdir(tenant, folder);
      if (!made.ok) return refusalOf(made);
    }
    for (const [index, file] of files.entries()) {
      if (index % FILES_BETWEEN_BREATHS === FILES_BETWEEN_BREATHS - 1) await breathe();
      const standing = await this.fs.stat(tenant, file.path);
      if (!standing.ok && standing.code !== 'not_found') return refusalOf(standing);
      if (standing.ok && standing.kind === 'other')
        return refuse('path_refused', 'something that is no file stands at this path');
      if (standing.ok && standing.kind === 'directory') {
        // The log knows of no folder here, so it can only be an empty one that was left behind.
        const cleared = await this.fs.remove(tenant, file.path);
        if (!cleared.ok) return refuse('not_a_file', 'a folder stands at this path');
      }
      const executable = file.executable ?? (standing.ok && standing.executable);
      toWrite.push({ path: stagedPath(file), bytes: file.content, executable });
    }
    const written = await this.fs.writeAll(tenant, toWrite);
    return written.ok ? undefined : refusalOf(written);
  }

  /** Some bytes of a file from an offset on, none past its end; `size` is the whole file's. */
  async piece(
    tenant: string,
    path: string,
    range: { offset: number; bytesMax: number },
  ): Promise<{ ok: true; bytes: Buffer; size: number } | DiskRefusal> {
    const read = await this.fs.read(tenant, path, { range });
    return read.ok ? { ok: true, bytes: read.bytes, size: read.sizeBytes } : refusalOf(read);
  }

  /** Takes a file out before its deletion is committed: until the log has forgotten it, it can come back. */
  async takeOut(tenant: string, file: Named): Promise<void> {
    const made = await this.fs.mkdir(tenant, STAGING_FOLDER);
    const moved = made.ok ? await this.fs.move(tenant, file.path, stagedPath(file), { mayReplace: true }) : made;
    // The log has it and the disk lost it: then there is nothing to take out, and the deletion mends the difference.
    if (!moved.ok && moved.code !== 'not_found') throw new Error(`a file could not be taken out: ${moved.code}`);
  }

  /** Puts staged files where the log has them, and removes the others. */
  async settle(
    tenant: string,
    files: readonly Named[],
    hashInLog: (path: string) => string | undefined,
  ): Promise<void> {
    for (const [index, file] of files.entries()) {
      if (index % FILES_BETWEEN_BREATHS === FILES_BETWEEN_BREATHS - 1) await breathe();
      if (hashInLog(file.path) === file.sha256) await this.#place(tenant, file);
      else {
        await this.#discard(tenant, stagedPath(file));
        if (hashInLog(file.path) === undefined) await this.#removeEmptyFolders(tenant, file.path);
      }
    }
  }

  /** Settles whatever a process left staged when it was killed. */
  async recover(tenant: string, filesInLog: () => Promise<readonly Named[]>): Promise<void> {
    const page = await this.fs.list(tenant, STAGING_FOLDER);
    if (!page.ok && page.code === 'not_found') return;
    if (!page.ok) throw new Error(`the staged files could not be listed: ${page.code}`);
    if (page.entries.length === 0) return;
    const belonging = new Map((await filesInLog()).map((file) => [stagedPath(file), file]));
    for await (const entry of this.fs.walk(tenant, STAGING_FOLDER)) {
      if (!entry.ok) throw new Error(`the staged files could not be listed: ${entry.code}`);
      const file = belonging.get(entry.path);
      if (file) await this.#place(tenant, file);
      else await this.#discard(tenant, entry.path);
    }
  }

  async #place(tenant: string, file: Named): Promise<void> {
    // The staged name is on disk since before the commit: whichever of the two names outlives a power cut, `recover` finds the file.
    const placed = await this.fs.move(tenant, stagedPath(file), file.path, { mayReplace: true, durable: false });
    if (!placed.ok) throw new Error(`a committed file could not be put in place: ${placed.code}`);
  }

  async #discard(tenant: string, staged: string): Promise<void> {
    const discarded = await this.fs.remove(tenant, staged);
    if (!discarded.ok && discarded.code !== 'not_found')
      throw new Error(`a staged file could not be removed: ${discarded.code}`);
  }

  /** Folders are not in the log: they come with their first file and go with their last. */
  async #removeEmptyFolders(tenant: string, path: string): Promise<void> {
    for (let folder = posix.dirname(path); folder.includes('/'); folder = posix.dirname(folder)) {
      if (!(await this.fs.remove(tenant, folder)).ok) return;
    }
  }
}

/** What a refusal of the file system means to who sent the path. */
export function refusalOf({ code, reason }: FsRefusal): DiskRefusal {
  switch (code) {
    case 'not_found':
      return refuse('file_not_found', 'there is no such file');
    case 'not_a_directory':
    case 'exists':
    case 'not_empty':
      return refuse('not_a_file', reason);
    case 'busy':
      return refuse('overloaded', reason);
    case 'no_space':
      return refuse('unavailable', reason);
    default:
      return refuse(code, reason);
  }
}
