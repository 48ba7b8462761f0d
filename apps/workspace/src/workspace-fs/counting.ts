import { O_DIRECTORY, O_RDONLY } from './system-calls.js';
import { lookAtChild, openDirectory, rawNames, type Ground } from './ground.js';
import { countedFilesMax, countedLevelsMax } from './limits.js';
import { errnoOf, refused } from './refusal.js';
import type { Usage } from './tenant-ledger.js';

/** Counts what a tenant holds on disk, whatever its names; throws `quota_exceeded` for a tree no quota would have allowed. */
export async function countUsage(ground: Ground, tenant: string): Promise<Usage> {
  const usage: Usage = { bytes: 0, files: 0 };
  try {
    using directory = openDirectory(ground, [tenant]);
    await addDirectory(ground, directory.fd, usage, 1);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
  return usage;
}

async function addDirectory(ground: Ground, directory: number, usage: Usage, level: number): Promise<void> {
  if (level > countedLevelsMax) throw refused('quota_exceeded', 'the workspace is nested too deeply to be counted');
  for await (const name of rawNames(directory)) {
    const stats = lookAtChild(directory, name);
    if (!stats) continue;
    if (++usage.files > countedFilesMax)
      throw refused('quota_exceeded', 'the workspace holds too many files to be counted');
    if (!stats.isDirectory()) usage.bytes += stats.size;
    else if (stats.dev === ground.device) await addChild(ground, directory, name, usage, level);
  }
}

async function addChild(ground: Ground, directory: number, name: Buffer, usage: Usage, level: number): Promise<void> {
  try {
    using child = ground.open(directory, [name], O_RDONLY | O_DIRECTORY);
    await addDirectory(ground, child.fd, usage, level + 1);
  } catch (error) {
    // Swapped or removed since it was read: then it holds nothing of this tenant's.
    if (!['ENOENT', 'ENOTDIR', 'ELOOP', 'EXDEV'].includes(errnoOf(error) ?? '')) throw error;
  }
}
