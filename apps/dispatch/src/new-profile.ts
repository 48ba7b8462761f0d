import type { AgentProfile } from './domain/agent.js';
import type { Providers } from './engines/providers.js';

/** A new agent's profile; what its maker left open is filled in. */
export function newProfile(
  providers: Providers,
  wanted: { agent: string; name?: string | undefined; model?: string | undefined; instructions?: string | undefined },
): AgentProfile {
  const { agent, name = agent, model = providers.defaultModel(), instructions = '' } = wanted;
  return { agent, name, model, instructions, createdAt: new Date().toISOString() };
}
