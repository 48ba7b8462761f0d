import { text } from 'node:stream/consumers';
import type { Answer, WorkspaceFs } from '../workspace-fs.js';

type Operation = (files: WorkspaceFs, path: string, tenant?: string) => Promise<Answer & { seen?: string }>;

/** Every operation of the port that takes a path; `seen` is whatever content or names it gave away. */
export const operations: Readonly<Record<string, Operation>> = {
  read: async (files, path, tenant = 'acme') => {
    const answer = await files.read(tenant, path);
    return answer.ok ? { ok: true, seen: answer.bytes.toString() } : answer;
  },
  readStream: async (files, path, tenant = 'acme') => {
    const answer = await files.readStream(tenant, path);
    return answer.ok ? { ok: true, seen: await text(answer.stream) } : answer;
  },
  list: async (files, path, tenant = 'acme') => {
    const answer = await files.list(tenant, path, { recursive: true });
    return answer.ok ? { ok: true, seen: JSON.stringify(answer.entries) } : answer;
  },
  walk: async (files, path, tenant = 'acme') => {
    const seen: string[] = [];
    for await (const entry of files.walk(tenant, path)) {
      if (!entry.ok) return entry;
      seen.push(entry.path);
    }
    return { ok: true, seen: seen.join() };
  },
  cursor: async (files, path, tenant = 'acme') => files.list(tenant, '', { cursor: path }),
  stat: async (files, path, tenant = 'acme') => files.stat(tenant, path),
  write: async (files, path, tenant = 'acme') => files.write(tenant, path, Buffer.from('written')),
  writeNew: async (files, path, tenant = 'acme') =>
    files.write(tenant, path, Buffer.from('written'), { mayReplace: false }),
  mkdir: async (files, path, tenant = 'acme') => files.mkdir(tenant, path),
  moveFrom: async (files, path, tenant = 'acme') => files.move(tenant, path, 'moved'),
  moveTo: async (files, path, tenant = 'acme') => files.move(tenant, 'ordinary', path, { mayReplace: true }),
  remove: async (files, path, tenant = 'acme') => files.remove(tenant, path),
  removeTree: async (files, path, tenant = 'acme') => files.remove(tenant, path, { recursive: true }),
};
