import { refuse } from '@reef/eventing/pure';

const RESERVED = /^(subagent|cron|acp):/;
/** As the contract has it. */
export const SESSION_KEY_CHARACTERS_MAX = 400;

export type SessionKey =
  { readonly ok: true; readonly key: string } | ReturnType<typeof refuse<'session_reserved' | 'invalid_input'>>;

/**
 * The key under which a session is kept: `agent:<agent>:…`, as OpenClaw spells it.
 * @param wanted the client's own key; null for a request that is to be forgotten, which gets the turn's id.
 */
export function sessionKeyOf(agent: string, wanted: string | null, turnId: string): SessionKey {
  if (wanted === null) return { ok: true, key: `agent:${agent}:openai:${turnId}` };
  const own = `agent:${agent}:`;
  const name = wanted.startsWith(own) ? wanted.slice(own.length) : wanted;
  if (RESERVED.test(name))
    return refuse('session_reserved', 'keys that begin with subagent:, cron: or acp: are not for clients');
  if (name === wanted && name.startsWith('agent:'))
    return refuse('session_reserved', 'this session belongs to another agent');
  const key = own + name;
  if (key.length > SESSION_KEY_CHARACTERS_MAX)
    return refuse(
      'invalid_input',
      `a session key has ${SESSION_KEY_CHARACTERS_MAX} characters at most, with its agent's part`,
    );
  return { ok: true, key };
}
