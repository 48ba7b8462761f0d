import { dispatch } from '@reef/contracts';
import { aggregate } from '@reef/eventing';
import { agentDecider } from './domain/agent.js';
import { sessionDecider } from './domain/session.js';
import { agentsProjection } from './projections/agents.js';
import { sessionsProjection } from './projections/sessions.js';
import { turnsProjection } from './projections/turns.js';

const { AgentCreated, AgentUpdated, AgentArchived } = dispatch.events;
const { TurnRequested, TurnStarted, TurnCompleted, TurnFailed, TurnCancelled, TurnWorked, ModelCalled, ToolCalled } =
  dispatch.events;

/** `agent/<agent>` */
export const agentAggregate = aggregate({
  name: 'agent',
  decider: agentDecider,
  events: { AgentCreated, AgentUpdated, AgentArchived },
  projections: [agentsProjection],
});

/** `session/<session key>` */
export const sessionAggregate = aggregate({
  name: 'session',
  decider: sessionDecider,
  events: {
    TurnRequested,
    TurnStarted,
    TurnCompleted,
    TurnFailed,
    TurnCancelled,
    TurnWorked,
    ModelCalled,
    ToolCalled,
  },
  projections: [sessionsProjection, turnsProjection],
  snapshotEvery: 100,
  snapshotShape: 2,
});

export const agentStream = (agent: string) => `agent/${agent}`;
export const sessionStream = (key: string) => `session/${key}`;
