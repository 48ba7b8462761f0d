import type { EventOf, Refusal, workspace } from '@reef/contracts';
import { type Decider, refuse, unreachable } from '@reef/eventing/pure';

export interface FileEntry {
  readonly bytes: number;
  readonly sha256: string;
  readonly modifiedAt: string;
}

/** One agent's folder: what the log says is in it. Paths begin with the agent, so no path can be the name of an object's own property. */
export interface Folder {
  readonly isOpen: boolean;
  readonly files: Readonly<Record<string, FileEntry>>;
  readonly bytes: number;
  readonly count: number;
  /** How often files changed: whoever caches something made of them compares this. */
  readonly changes: number;
}

export type FolderEvent = EventOf<
  typeof workspace,
  'WorkspaceOpened' | 'FileWritten' | 'FileDeleted' | 'WorkspaceImported' | 'ToolRun'
>;
export type FolderRefusal = 'quota_exceeded' | 'not_a_file' | 'file_not_found' | 'agent_unknown';

export interface NewFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** What the tenant may still add, over all its folders. It holds while the command is decided, because a tenant's changes are made one at a time. */
export interface Room {
  readonly bytes: number;
  readonly files: number;
}

export type FolderCommand =
  | { type: 'open'; data: { agent: string; files: readonly NewFile[]; room: Room; at: string } }
  | { type: 'write'; data: { file: NewFile; by: 'person' | 'agent'; room: Room; at: string } }
  | { type: 'delete'; data: { path: string; at: string } }
  | { type: 'import'; data: { agent: string; files: readonly NewFile[]; room: Room; at: string } }
  | {
      type: 'runTool';
      data: {
        run: { agent: string; turnId: string; toolCallId: string; name: string; failed: boolean };
        written: NewFile | null;
        room: Room;
        at: string;
      };
    };

/** Characters of paths in one WorkspaceImported: an event must fit into one message of the feed (1 MiB). */
const IMPORTED_CHARACTERS_MAX = 400_000;
/** What an imported file takes in an event besides its path: a hash, a size, and their names. */
const IMPORTED_FILE_CHARACTERS = 120;

export const folder: Decider<Folder, FolderCommand, FolderEvent, FolderRefusal> = {
  initial: { isOpen: false, files: {}, bytes: 0, count: 0, changes: 0 },

  decide(command, state) {
    const { at } = command.data;
    switch (command.type) {
      case 'open': {
        const { agent, files, room } = command.data;
        if (state.isOpen) return [];
        // Somebody may have written first: what is there stays, and what would stand in its way is left out.
        const missing = files.filter(({ path }) => !state.files[path] && !conflict(state, path));
        // An agent that was created exists, also for a tenant whose quota is used up.
        const added = whyNoRoom(state, missing, room) ? [] : missing;
        return [
          { type: 'WorkspaceOpened', data: { agent, openedAt: at } },
          ...added.map((file) => written(file, 'reef', at)),
        ];
      }
      case 'write': {
        const { file, by, room } = command.data;
        return conflict(state, file.path) ?? whyNoRoom(state, [file], room) ?? [written(file, by, at)];
      }
      case 'delete': {
        const { path } = command.data;
        if (isUnknown(state)) return refuse('agent_unknown', 'there is no such agent');
        if (state.files[path]) return [{ type: 'FileDeleted', data: { path, deletedAt: at } }];
        if (holdsBelow(state, path)) return refuse('not_a_file', 'a folder stands at this path');
        return refuse('file_not_found', 'there is no such file');
      }
      case 'import': {
        const { agent, files, room } = command.data;
        const folders = foldersOf(state);
        const inTheWay = files.map(({ path }) => conflict(state, path, (one) => folders.has(one)));
        return (
          inTheWay.find((found) => found !== undefined) ??
          whyNoRoom(state, files, room) ??
          inEvents(files).map((part) => ({
            type: 'WorkspaceImported',
            data: { agent, files: part.map(({ path, bytes, sha256 }) => ({ path, bytes, sha256 })), importedAt: at },
          }))
        );
      }
      case 'runTool': {
        const { run, written: file, room } = command.data;
        const ran: FolderEvent = { type: 'ToolRun', data: { ...run, ranAt: at } };
        if (!file) return [ran];
        return conflict(state, file.path) ?? whyNoRoom(state, [file], room) ?? [written(file, 'agent', at), ran];
      }
      default:
        return unreachable(command);
    }
  },

  evolve(state, event) {
    switch (event.type) {
      case 'WorkspaceOpened':
        return { ...state, isOpen: true };
      case 'FileWritten':
        return withFiles(state, [event.data], event.data.writtenAt);
      case 'WorkspaceImported':
        return withFiles(state, event.data.files, event.data.importedAt);
      case 'FileDeleted': {
        const { [event.data.path]: deleted, ...files } = state.files;
        if (!deleted) return state;
        const changes = state.changes + 1;
        return { ...state, files, bytes: state.bytes - deleted.bytes, count: state.count - 1, changes };
      }
      case 'ToolRun':
        return state;
      default:
        return unreachable(event);
    }
  },
};

/** A folder that neither was opened nor ever held a file: whether its agent exists is not known here. */
export const isUnknown = (state: Folder): boolean => !state.isOpen && state.changes === 0;

/** What adding these files would take of the room, replaced ones given back. */
export function growthOf(state: Folder, files: readonly NewFile[]): Room {
  return {
    bytes: files.reduce((sum, { path, bytes }) => sum + bytes - (state.files[path]?.bytes ?? 0), 0),
    files: files.filter(({ path }) => !state.files[path]).length,
  };
}

function foldersOf(state: Folder): ReadonlySet<string> {
  const folders = new Set<string>();
  for (const path in state.files) {
    // Once a folder is known, those above it are known too.
    for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
      const above = path.slice(0, end);
      if (folders.has(above)) break;
      folders.add(above);
    }
  }
  return folders;
}

function holdsBelow(state: Folder, path: string): boolean {
  const below = `${path}/`;
  for (const other in state.files) if (other.startsWith(below)) return true;
  return false;
}

/** A name is either a file or a folder, never both. */
function conflict(
  state: Folder,
  path: string,
  isFolder = (folder: string): boolean => holdsBelow(state, folder),
): Refusal<'not_a_file'> | undefined {
  if (!path.includes('/')) return refuse('not_a_file', "this is an agent's folder");
  for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
    if (state.files[path.slice(0, end)]) return refuse('not_a_file', 'a part of this path is a file');
  }
  // A file that exists has nothing below it, and looking through the folder is the dear part.
  if (state.files[path] || !isFolder(path)) return undefined;
  return refuse('not_a_file', 'a folder stands at this path');
}

function whyNoRoom(state: Folder, files: readonly NewFile[], room: Room): Refusal<'quota_exceeded'> | undefined {
  const growth = growthOf(state, files);
  // A change that frees space is never in the way, even where the quota has been exceeded by a smaller limit since.
  if (growth.bytes > 0 && growth.bytes > room.bytes)
    return refuse('quota_exceeded', 'the files would take more than the quota', { bytesLeft: Math.max(0, room.bytes) });
  if (growth.files > 0 && growth.files > room.files)
    return refuse('quota_exceeded', 'there would be more files than the quota', { filesLeft: Math.max(0, room.files) });
  return undefined;
}

const written = ({ path, bytes, sha256 }: NewFile, by: 'person' | 'agent' | 'reef', at: string): FolderEvent => ({
  type: 'FileWritten',
  data: { path, bytes, sha256, writtenAt: at, by },
});

function withFiles(state: Folder, added: readonly NewFile[], modifiedAt: string): Folder {
  const files = { ...state.files };
  let { bytes, count } = state;
  for (const { path, bytes: size, sha256 } of added) {
    const replaced = files[path];
    bytes += size - (replaced?.bytes ?? 0);
    if (!replaced) count++;
    files[path] = { bytes: size, sha256, modifiedAt };
  }
  return { ...state, files, bytes, count, changes: state.changes + 1 };
}

function inEvents(files: readonly NewFile[]): NewFile[][] {
  const parts: NewFile[][] = [[]];
  let characters = 0;
  for (const file of files) {
    characters += file.path.length + IMPORTED_FILE_CHARACTERS;
    if (characters > IMPORTED_CHARACTERS_MAX) {
      parts.push([]);
      characters = file.path.length + IMPORTED_FILE_CHARACTERS;
    }
    parts.at(-1)?.push(file);
  }
  return parts;
}
