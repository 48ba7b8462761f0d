import { createHash } from 'node:crypto';
import { sessionKey } from '@reef/contracts';
import { refused } from '../http/refusals.js';
import { ok } from '../http/route.js';
import type { Result } from '@reef/contracts';

const RESERVED = ['subagent:', 'cron:', 'acp:'];
const SESSION_KEY_CHARS_MAX = 400;

/**
 * Which session a request belongs to: the one it names, else the one of its `user`, else none.
 * @returns null for a stateless request.
 */
export function sessionOf(
  agent: string,
  named: string | string[] | undefined,
  user: string | null,
): Result<string | null> {
  if (named !== undefined) {
    const key = sessionKey.safeParse(named);
    if (!key.success)
      return refused('invalid_parameter', 'x-openclaw-session-key is 1–400 printable ASCII characters', {
        param: 'x-openclaw-session-key',
      });
    if (RESERVED.some((prefix) => key.data.startsWith(prefix)))
      return refused('session_reserved', `session keys beginning with ${RESERVED.join(', ')} are reserved`, {
        param: 'x-openclaw-session-key',
      });
    return ok(key.data);
  }
  return ok(user === null ? null : sessionOfUser(agent, user));
}

/**
 * No two users share a session: what a key may not hold is percent-encoded, the percent sign too; a name that is then too long
 * becomes its hash, marked by a `%` that no encoding produces.
 */
function sessionOfUser(agent: string, user: string): string {
  const prefix = `agent:${agent}:openai-user:`;
  const encoded = user.replace(/[^\x21-\x24\x26-\x7e]/gu, (char) => encodeURIComponent(char));
  if (prefix.length + encoded.length <= SESSION_KEY_CHARS_MAX) return prefix + encoded;
  return `${prefix}%sha256:${createHash('sha256').update(user).digest('hex')}`;
}
