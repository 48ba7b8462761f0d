import { parseWorkspacePath } from '../workspace-fs/workspace-path.js';
import { archiveRefused, type ArchiveLimits } from './archive-entry.js';

type Taken = { path: string; kind: 'file' | 'directory'; stated: boolean };

/**
 * Judges each entry of an archive before anything is written, whichever format it came in: its path, its size, what is there already.
 */
export class EntryInspector {
  readonly #taken = new Map<string, Taken>();
  #entries = 0;
  #unpackedBytes = 0;

  constructor(
    private readonly limits: ArchiveLimits,
    private readonly archiveBytes: number,
  ) {}

  /** The number of the entry at hand, counted from 1. */
  get entryNumber(): number {
    return this.#entries;
  }

  /** Admits the next entry and gives its path in the workspace; undefined for the archive's own root, `./`. */
  admit(name: string, kind: 'file' | 'directory', sizeBytes: number): string | undefined {
    if (++this.#entries > this.limits.entriesMax)
      throw archiveRefused('too_many_entries', 'the archive holds too many entries');
    if (sizeBytes > this.limits.fileBytesMax)
      throw this.refused('file_too_large', 'a file in the archive is too large');
    this.addUnpacked(sizeBytes);
    const path = this.#workspacePath(name, kind);
    if (path !== undefined) this.#take(path, kind);
    return path;
  }

  /** Counts bytes as they come out, for a format that may not tell the truth beforehand. */
  addUnpacked(bytes: number): void {
    this.#unpackedBytes += bytes;
    if (this.#unpackedBytes > this.limits.unpackedBytesMax)
      throw this.refused('unpacked_too_large', 'the archive unpacks to too much');
    if (this.#unpackedBytes > Math.max(this.limits.ratioFreeBytes, this.archiveBytes * this.limits.ratioMax)) {
      throw this.refused('ratio_exceeded', 'the archive unpacks to far more than its size');
    }
  }

  refused(code: Parameters<typeof archiveRefused>[0], reason: string) {
    return archiveRefused(code, reason, this.#entries);
  }

  /** Refuses the entry that comes next, which was not admitted. */
  refusedNext(code: Parameters<typeof archiveRefused>[0], reason: string) {
    return archiveRefused(code, reason, this.#entries + 1);
  }

  #workspacePath(name: string, kind: 'file' | 'directory'): string | undefined {
    // `tar -C workspace .` names everything from "./", and a directory ends in a slash: nothing else is forgiven.
    const relative = name.startsWith('./') ? name.slice(2) : name;
    const path = kind === 'directory' && relative.endsWith('/') ? relative.slice(0, -1) : relative;
    if (kind === 'directory' && (path === '' || path === '.') && name.startsWith('.')) return undefined;
    if (path.includes('\ufffd')) throw this.refused('path_refused', 'a name in the archive is not UTF-8');
    // macOS archives spell accents apart (NFD); they are joined before the path is judged, so the twins below see one name.
    const parsed = parseWorkspacePath(path.isWellFormed() ? path.normalize('NFC') : path);
    if (!parsed.ok) throw this.refused('path_refused', parsed.reason);
    return parsed.path;
  }

  /** Also takes the directories above, so that a file can neither be a directory of another nor differ from one by case alone. */
  #take(path: string, kind: 'file' | 'directory'): void {
    for (let end = path.indexOf('/'); end !== -1; end = path.indexOf('/', end + 1))
      this.#claim(path.slice(0, end), 'directory', false);
    this.#claim(path, kind, true);
  }

  #claim(path: string, kind: 'file' | 'directory', stated: boolean): void {
    const key = twinKey(path);
    const before = this.#taken.get(key);
    if (before && (before.path !== path || before.kind !== kind || (stated && before.stated))) {
      throw this.refused(
        'duplicate_path',
        'two entries of the archive have the same name, or names that differ only in case or form',
      );
    }
    this.#taken.set(key, { path, kind, stated: stated || (before?.stated ?? false) });
  }
}

/** Equal for names that some file system or eye takes for one; upper case first, since it joins more letters than lower case does. */
const twinKey = (path: string): string => path.normalize('NFKC').toUpperCase().toLowerCase().normalize('NFKC');
