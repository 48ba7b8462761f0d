import { defineEntity } from '@mikro-orm/core';
import type { Projection } from '@reef/eventing/pure';
import type { Agent, AgentEvent } from '../domain/agent.js';

export const AgentRow = defineEntity({
  name: 'AgentRow',
  tableName: 'agents',
  schema: 'view',
  properties: (p) => ({
    tenantId: p.string().primary(),
    agent: p.string().primary(),
    name: p.string(),
    model: p.string().nullable(),
    instructions: p.text(),
    createdAt: p.datetime(),
    archived: p.boolean(),
  }),
});

export const agentsProjection: Projection<Agent, AgentEvent> = {
  table: 'agents',
  key: ['agent'],
  sealed: ['instructions'],
  rows: ({ state }) =>
    state.status === 'absent'
      ? []
      : [
          {
            upsert: {
              agent: state.agent,
              name: state.name,
              model: state.model,
              instructions: state.instructions,
              created_at: state.createdAt,
              archived: state.status === 'archived',
            },
          },
        ],
};
