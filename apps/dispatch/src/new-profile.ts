import type { AgentProfile } from './domain/agent.js';

/** A new agent's profile; what its maker left open is filled in. */
export function newProfile(wanted: {
  agent: string;
  name?: string | undefined;
  model?: string | undefined;
  instructions?: string | undefined;
}): AgentProfile {
  const { agent, name = agent, model = null, instructions = '' } = wanted;
  return { agent, name, model, instructions, createdAt: new Date().toISOString() };
}
