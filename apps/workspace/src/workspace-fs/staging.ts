import { randomUUID } from 'node:crypto';
import { fchmodSync, fsync as fsyncCallback, writeFile as writeFileCallback } from 'node:fs';
import { promisify } from 'node:util';
import type { Descriptor } from './beneath.js';
import { breathe, lookAtChild, openDirectory, rawNames, type Ground } from './ground.js';
import { errnoOf } from './refusal.js';
import { AT_REMOVEDIR, O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_WRONLY } from './system-calls.js';
import type { Usage } from './tenant-ledger.js';

// No tenant's name begins with a dot, so no tenant can reach it, list it, or have it bound into a sandbox.
const stagingName = '.staging';
// Left over from a process that was killed; nothing takes an hour to write.
const leftoverAgeMs = 3_600_000;
const removalPassesMax = 100;
const removalsBetweenBreaths = 64;

const writeFile = promisify(writeFileCallback);
export const fsync = promisify(fsyncCallback);

/** The one directory beside the tenants': files are written here before they take their name, and trees are taken apart here. */
export class Staging implements Disposable {
  #directory: Descriptor | undefined;
  #swept: Promise<void> | undefined;

  constructor(private readonly ground: Ground) {}

  async directory(): Promise<number> {
    this.#directory ??= this.#openDirectory();
    this.#swept ??= this.#removeLeftovers(this.#directory.fd);
    await this.#swept;
    return this.#directory.fd;
  }

  #openDirectory(): Descriptor {
    try {
      this.ground.calls.mkdirat(this.ground.root, stagingName, 0o700);
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
    }
    return openDirectory(this.ground, [stagingName]);
  }

  /** Writes a nameless-to-tenants file and waits until its bytes are on disk. The caller renames or discards it. */
  async write(bytes: Uint8Array, executable: boolean): Promise<string> {
    const directory = await this.directory();
    const name = randomUUID();
    using file = this.ground.open(directory, [name], O_CREAT | O_EXCL | O_WRONLY, 0o600);
    try {
      // Set by hand because the umask may take bits away; and the bits are all it has, since the file is new.
      fchmodSync(file.fd, executable ? 0o700 : 0o600);
      await writeFile(file.fd, bytes);
      await fsync(file.fd);
    } catch (error) {
      await this.discard(name);
      throw error;
    }
    return name;
  }

  async discard(name: string): Promise<void> {
    this.ground.calls.unlinkat(await this.directory(), name, 0);
  }

  /**
   * Takes a directory out of a tenant's files in one step, then removes it. Subdirectories are moved up beside it instead of being
   * descended into, so a tree of any depth needs two descriptors and no path.
   */
  async removeTree(parent: number, name: string, taken: () => void): Promise<Usage> {
    const staging = await this.directory();
    const moved = randomUUID();
    this.ground.calls.renameat2(parent, name, staging, moved, 0);
    taken();
    return await this.#dismantle(staging, [moved]);
  }

  async #dismantle(staging: number, pending: string[]): Promise<Usage> {
    const removed: Usage = { bytes: 0, files: 0 };
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      for (let pass = 1; ; pass++) {
        using directory = this.ground.open(staging, [name], O_RDONLY | O_DIRECTORY);
        for await (const child of rawNames(directory.fd)) {
          const stats = lookAtChild(directory.fd, child);
          if (stats?.isDirectory()) {
            const moved = randomUUID();
            this.ground.calls.renameat2(directory.fd, child, staging, moved, 0);
            pending.push(moved);
          } else if (stats) {
            this.ground.calls.unlinkat(directory.fd, child, 0);
            removed.bytes += stats.size;
            removed.files++;
          }
        }
        if (this.#removed(staging, name, pass)) break;
      }
      removed.files++;
      if (removed.files % removalsBetweenBreaths === 0) await breathe();
    }
    return removed;
  }

  /** False where something was still inside: reading a directory that shrinks may miss names, or a sandbox is still writing. */
  #removed(staging: number, name: string, pass: number): boolean {
    try {
      this.ground.calls.unlinkat(staging, name, AT_REMOVEDIR);
      return true;
    } catch (error) {
      if (errnoOf(error) === 'ENOTEMPTY' && pass < removalPassesMax) return false;
      throw error;
    }
  }

  async #removeLeftovers(staging: number): Promise<void> {
    for await (const raw of rawNames(staging)) {
      const stats = lookAtChild(staging, raw);
      if (!stats || Date.now() - stats.ctimeMs < leftoverAgeMs) continue;
      if (stats.isDirectory()) await this.#dismantle(staging, [raw.toString('utf8')]);
      else this.ground.calls.unlinkat(staging, raw, 0);
    }
  }

  [Symbol.dispose](): void {
    this.#directory?.[Symbol.dispose]();
    this.#directory = undefined;
  }
}
