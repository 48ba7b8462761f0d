import type { Readable } from 'node:stream';
import type { Usage, WorkspaceFs } from '../workspace-fs/workspace-fs.js';
import type { Refusal } from '../workspace-fs/refusal.js';
import type { ArchiveLimits, ArchiveRefusal } from './archive-entry.js';
import { readArchive } from './read-archive.js';
import { writeArchive, type ArchiveSource } from './write-archive.js';

/** Unpacks an archive into a tenant's workspace as one change: every entry is accepted before the first is written. */
export async function importArchive(
  files: WorkspaceFs,
  tenant: string,
  archive: Uint8Array | AsyncIterable<Uint8Array>,
  limits: Partial<ArchiveLimits> = {},
): Promise<({ ok: true; imported: number } & Usage) | ArchiveRefusal | Refusal> {
  const read = await readArchive(archive, limits);
  if (!read.ok) return read;
  const written = await files.writeAll(
    tenant,
    read.entries.filter((entry) => entry.kind === 'file'),
    read.entries.filter((entry) => entry.kind === 'directory').map((entry) => entry.path),
  );
  return written.ok ? { ...written, imported: read.entries.length } : written;
}

/**
 * Packs a tenant's workspace. The same files give the same archive, byte for byte, under one version of zlib. Links and special files,
 * which only a sandbox can have made, are left out and counted.
 */
export async function exportArchive(
  files: WorkspaceFs,
  tenant: string,
): Promise<{ ok: true; archive: Readable; exported: number; leftOut: number } | Refusal> {
  const sources: ArchiveSource[] = [];
  let leftOut = 0;
  for await (const entry of files.walk(tenant, '')) {
    if (!entry.ok) return entry;
    const { kind, path, executable } = entry;
    if (kind === 'other') leftOut++;
    else if (kind === 'directory') sources.push({ kind, path });
    else sources.push({ kind, path, executable, content: () => contentOf(files, tenant, path) });
  }
  return { ok: true, archive: writeArchive(sources), exported: sources.length, leftOut };
}

async function contentOf(
  files: WorkspaceFs,
  tenant: string,
  path: string,
): Promise<{ sizeBytes: number; stream: Readable }> {
  const opened = await files.readStream(tenant, path);
  // It was there when the list was made, so an archive without it would be a lie.
  if (!opened.ok) throw new Error(`a file changed while it was being exported: ${opened.code}`);
  return { sizeBytes: opened.sizeBytes, stream: opened.stream };
}
