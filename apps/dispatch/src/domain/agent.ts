import type { dispatch, EventOf } from '@reef/contracts';
import { type Decider, refuse, unreachable } from '@reef/eventing/pure';

export type AgentEvent = EventOf<typeof dispatch, 'AgentCreated' | 'AgentUpdated' | 'AgentArchived'>;
export type AgentRefusal = 'agent_taken' | 'agent_not_found' | 'agent_is_default';

/** Every tenant has this agent from the start, and keeps it. */
export const DEFAULT_AGENT = 'main';

export interface AgentProfile {
  readonly agent: string;
  readonly name: string;
  /** Null: the deployment's default, whatever that is when a turn runs. */
  readonly model: string | null;
  readonly instructions: string;
  readonly createdAt: string;
}

export type Agent = { readonly status: 'absent' } | ({ readonly status: 'active' | 'archived' } & AgentProfile);

export type AgentCommand =
  | { type: 'open'; data: AgentProfile }
  | { type: 'create'; data: AgentProfile }
  | {
      type: 'update';
      data: {
        name?: string | undefined;
        model?: string | null | undefined;
        instructions?: string | undefined;
        updatedAt: string;
      };
    }
  | { type: 'archive'; data: { archivedAt: string } };

export const agentDecider: Decider<Agent, AgentCommand, AgentEvent, AgentRefusal> = {
  initial: { status: 'absent' },
  decide(command, state) {
    switch (command.type) {
      case 'open':
        return state.status === 'absent' ? [{ type: 'AgentCreated', data: command.data }] : [];
      case 'create':
        if (state.status !== 'absent') return refuse('agent_taken', 'an agent of this name exists or existed');
        return [{ type: 'AgentCreated', data: command.data }];
      case 'update': {
        if (state.status !== 'active') return refuse('agent_not_found', 'there is no such agent');
        const { updatedAt, ...wanted } = command.data;
        const changed = Object.fromEntries(
          Object.entries(wanted).filter(
            ([field, value]) => value !== undefined && value !== state[field as keyof AgentProfile],
          ),
        );
        return Object.keys(changed).length > 0 ? [{ type: 'AgentUpdated', data: { ...changed, updatedAt } }] : [];
      }
      case 'archive':
        if (state.status !== 'active') return refuse('agent_not_found', 'there is no such agent');
        if (state.agent === DEFAULT_AGENT) return refuse('agent_is_default', 'the default agent stays');
        return [{ type: 'AgentArchived', data: command.data }];
      default:
        return unreachable(command);
    }
  },
  evolve(state, event) {
    switch (event.type) {
      case 'AgentCreated':
        return { status: 'active', ...event.data };
      case 'AgentUpdated': {
        if (state.status === 'absent') return state;
        const { name = state.name, model = state.model, instructions = state.instructions } = event.data;
        return { ...state, name, model, instructions };
      }
      case 'AgentArchived':
        return state.status === 'absent' ? state : { ...state, status: 'archived' };
      default:
        return unreachable(event);
    }
  },
};
