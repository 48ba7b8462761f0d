import { agentId } from '@reef/contracts';

export const DEFAULT_AGENT = 'main';
const PREFIX = /^(?:openclaw[/:]|agent:)/;

/** The agent that a request's `model` names, by OpenClaw's convention; null where it names none. */
export function agentOf(model: string): string | null {
  if (model === 'openclaw' || model === 'openclaw/default') return DEFAULT_AGENT;
  return agentId.safeParse(model.replace(PREFIX, '')).data ?? null;
}
