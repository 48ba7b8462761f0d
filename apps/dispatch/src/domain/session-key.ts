import { refuse } from '@reef/eventing/pure';

const RESERVED = /^(subagent|cron|acp):/;

export type SessionKey = { readonly ok: true; readonly key: string } | ReturnType<typeof refuse<'session_reserved'>>;

/**
 * The key under which a session is kept: `agent:<agent>:…`, as OpenClaw spells it.
 * @param wanted the client's own key; null for a request that is to be forgotten, which gets the turn's id.
 */
export function sessionKeyOf(agent: string, wanted: string | null, turnId: string): SessionKey {
  if (wanted === null) return { ok: true, key: `agent:${agent}:openai:${turnId}` };
  if (RESERVED.test(wanted))
    return refuse('session_reserved', 'keys that begin with subagent:, cron: or acp: are not for clients');
  const own = `agent:${agent}:`;
  if (wanted.startsWith(own)) return { ok: true, key: wanted };
  if (wanted.startsWith('agent:')) return refuse('session_reserved', 'this session belongs to another agent');
  return { ok: true, key: own + wanted };
}

/** The agent that a session key names. */
export function agentOfSession(key: string): string {
  return key.split(':', 2)[1] ?? '';
}
