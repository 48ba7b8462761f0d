import type { Result, TenantContext } from '@reef/contracts';
import { defaultFiles } from './default-files.js';
import { sha256Of } from './disk.js';
import type { ChangeRefusal, Folders } from './folders.js';

/** The agent every tenant begins with. */
export const MAIN = { agent: 'main', name: 'Reef' };

/** Lays out an agent's folder. One that is open stays as it is, and so does every file that is there already. */
export function openFolder(
  folders: Folders,
  context: TenantContext,
  { agent, name }: { agent: string; name: string },
): Promise<Result<Record<string, never>, ChangeRefusal>> {
  const files = defaultFiles(agent, name).map((file) => ({ ...file, sha256: sha256Of(file.content) }));
  return folders.change(context, agent, (room, at) => ({
    command: {
      type: 'open',
      data: {
        agent,
        room,
        at,
        files: files.map(({ path, content, sha256 }) => ({ path, bytes: content.length, sha256 })),
      },
    },
    files,
    reply: () => ({}),
  }));
}
