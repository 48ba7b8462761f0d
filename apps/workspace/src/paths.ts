import { createHash } from 'node:crypto';
import { agentId, type Refusal } from '@reef/contracts';
import { refuse } from '@reef/eventing/pure';
import { PATH_BYTES_MAX, PATH_LEVELS_MAX } from './limits.js';
import { parseWorkspacePath } from './workspace-fs/workspace-path.js';

/** A file's path that may be looked up: `agent` is its first part and `within` the rest, empty for the folder itself. */
export interface FilePath {
  readonly ok: true;
  readonly path: string;
  readonly agent: string;
  readonly within: string;
}

const refused = (reason: string): Refusal<'path_refused'> => refuse('path_refused', reason);

/** Judges a path by its text alone. */
export function parseFilePath(path: string): FilePath | Refusal<'path_refused'> {
  const parsed = parseWorkspacePath(path);
  if (!parsed.ok) return refused(parsed.reason);
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) return refused(`the path is longer than ${PATH_BYTES_MAX} bytes`);
  if (parsed.components.length > PATH_LEVELS_MAX) return refused(`the path has more than ${PATH_LEVELS_MAX} levels`);
  const [agent = '', ...within] = parsed.components;
  // Also keeps everybody out of `.reef`, where uploads and staged files lie: no agent's name begins with a dot.
  if (!agentId.safeParse(agent).success) return refused('the first part of the path must name an agent');
  return { ok: true, path, agent, within: within.join('/') };
}

/** What a list may begin with: a path, a path that ends in a slash, the beginning of a name, or nothing. */
export function parsePrefix(prefix: string): { ok: true; prefix: string } | Refusal<'path_refused'> {
  if (prefix === '') return { ok: true, prefix };
  const parsed = parseWorkspacePath(prefix.endsWith('/') ? prefix.slice(0, -1) : prefix);
  return parsed.ok ? { ok: true, prefix } : refused(parsed.reason);
}

/**
 * The folder under `users/` that belongs to an end user. A name that is already a slug is its own folder; every other is `u-` and the
 * first 32 hex digits of the SHA-256 of its UTF-8. Slugs that begin with `u-` are hashed too, so no name can pose as another's hash.
 */
export function userFolder(user: string): string {
  if (agentId.safeParse(user).success && !user.startsWith('u-')) return user;
  return `u-${createHash('sha256').update(user).digest('hex').slice(0, 32)}`;
}

/**
 * Whether a turn may reach a path of its agent's folder. What lies under `users/` belongs to the end user it is named after: a turn
 * for one person reaches that person's alone, and a turn for nobody in particular none.
 */
export function isReachable(within: string, user: string | null): boolean {
  const [top, owner] = within.split('/');
  return top !== 'users' || owner === undefined || (user !== null && owner === userFolder(user));
}
