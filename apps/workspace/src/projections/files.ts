import type { RowChange } from '@reef/eventing/pure';
import { decodeCursor, encodeCursor, inTenants, type Projection } from '@reef/eventing';
import type { InputOf, OutputOf, workspace } from '@reef/contracts';
import type { Pool } from 'pg';
import type { Folder, FolderEvent } from '../domain/folder.js';

/** One row a file: what `listFiles` answers from, and what staged files are compared with after a crash. */
export const files: Projection<Folder, FolderEvent> = {
  table: 'files',
  key: ['path'],
  rows: ({ state, events }) =>
    [...new Set(events.flatMap(pathsOf))].map((path): RowChange => {
      const file = state.files[path];
      if (!file) return { delete: { path } };
      return { upsert: { path, bytes: file.bytes, sha256: file.sha256, modified_at: file.modifiedAt } };
    }),
};

/** One row a folder, so that a tenant's usage is the sum of a few rows. */
export const folders: Projection<Folder, FolderEvent> = {
  table: 'folders',
  key: ['agent'],
  rows: ({ stream, state, events }) =>
    events.every(({ type }) => type === 'ToolRun')
      ? []
      : [{ upsert: { agent: stream.slice('folder/'.length), bytes: state.bytes, files: state.count } }],
};

function pathsOf(event: FolderEvent): string[] {
  switch (event.type) {
    case 'FileWritten':
    case 'FileDeleted':
      return [event.data.path];
    case 'WorkspaceImported':
      return event.data.files.map(({ path }) => path);
    default:
      return [];
  }
}

export interface FileRow {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly modifiedAt: string;
}

type StoredFile = { path: string; bytes: string; sha256: string; modified_at: Date };

const fileRow = (row: StoredFile): FileRow => ({
  path: row.path,
  bytes: Number(row.bytes),
  sha256: row.sha256,
  modifiedAt: row.modified_at.toISOString(),
});

/** What the log says about one path, and whether its agent's folder was ever used. */
export async function findFile(
  database: Pool,
  tenant: string,
  agent: string,
  path: string,
): Promise<{ isKnownAgent: boolean; file: FileRow | null }> {
  const { rows } = await inTenants(database, [tenant], (client) =>
    client.query<StoredFile | Record<keyof StoredFile, null>>(
      `select f.path, f.bytes, f.sha256, f.modified_at from view.folders d
       left join view.files f on f.tenant_id = d.tenant_id and f.path = $3
       where d.tenant_id = $1 and d.agent = $2`,
      [tenant, agent, path],
    ),
  );
  const [row] = rows;
  return { isKnownAgent: row !== undefined, file: row && row.path !== null ? fileRow(row) : null };
}

/** Files whose path begins with a prefix, ordered by the bytes of their paths. `after` is the last path of the page before. */
export async function filesBelow(
  database: Pool,
  tenant: string,
  prefix: string,
  options: { after?: string; limit: number },
): Promise<FileRow[]> {
  const { rows } = await inTenants(database, [tenant], (client) =>
    client.query<StoredFile>(
      `select path, bytes, sha256, modified_at from view.files
       where tenant_id = $1 and path >= $2 and path > $3 and starts_with(path, $2) order by path limit $4`,
      [tenant, prefix, options.after ?? '', options.limit],
    ),
  );
  return rows.map(fileRow);
}

/** Path and hash of everything a tenant has: at most as many rows as the quota has files. */
export async function hashesOf(database: Pool, tenant: string): Promise<{ path: string; sha256: string }[]> {
  const { rows } = await inTenants(database, [tenant], (client) =>
    client.query<{ path: string; sha256: string }>('select path, sha256 from view.files where tenant_id = $1', [
      tenant,
    ]),
  );
  return rows;
}

/** Which of these paths exist, and the `SKILL.md` of every folder directly under an agent's `skills/`, in the order of their paths. */
export async function promptPaths(
  database: Pool,
  tenant: string,
  agent: string,
  wanted: readonly string[],
): Promise<{ files: FileRow[]; skills: FileRow[] }> {
  const { rows } = await inTenants(database, [tenant], (client) =>
    client.query<StoredFile>(
      `select path, bytes, sha256, modified_at from view.files
       where tenant_id = $1 and (path = any ($2) or path ~ ('^' || $3 || '/skills/[^/]+/SKILL[.]md$')) order by path limit 2000`,
      [tenant, wanted, agent],
    ),
  );
  const found = rows.map(fileRow);
  return {
    files: found.filter(({ path }) => wanted.includes(path)),
    skills: found.filter(({ path }) => path.startsWith(`${agent}/skills/`)),
  };
}

/** A page of `listFiles`; null for a cursor that is not ours. */
export async function listFiles(
  database: Pool,
  tenant: string,
  { prefix, limit, cursor }: InputOf<typeof workspace.queries.listFiles>,
): Promise<OutputOf<typeof workspace.queries.listFiles> | null> {
  const after = cursor === undefined ? '' : decodeCursor(cursor)?.[0];
  if (typeof after !== 'string') return null;
  const found = await filesBelow(database, tenant, prefix, { after, limit: limit + 1 });
  const items = found.slice(0, limit);
  const last = items.at(-1);
  return { items, nextCursor: found.length > limit && last ? encodeCursor([last.path]) : null };
}

export async function usageOf(database: Pool, tenant: string): Promise<{ bytes: number; files: number }> {
  const { rows } = await inTenants(database, [tenant], (client) =>
    client.query<{ bytes: string; files: string }>(
      `select coalesce(sum(bytes), 0) as bytes, coalesce(sum(files), 0) as files from view.folders where tenant_id = $1`,
      [tenant],
    ),
  );
  return { bytes: Number(rows[0]?.bytes ?? 0), files: Number(rows[0]?.files ?? 0) };
}
