import { Controller, Inject } from '@nestjs/common';
import { dispatch, type InputOf, type ResultOf, type TenantContext } from '@reef/contracts';
import { EventStore } from '@reef/eventing';
import { refuse } from '@reef/eventing/pure';
import { Command } from '@reef/messaging';
import { agentAggregate, agentStream } from './aggregates.js';
import { type Agent, DEFAULT_AGENT } from './domain/agent.js';
import type { Providers } from './engines/providers.js';
import { newProfile } from './new-profile.js';
import { PROVIDERS } from './tokens.js';
import { KnownAgents } from './turns/known-agents.js';

const { openTenant, createAgent, updateAgent, archiveAgent } = dispatch.commands;

@Controller()
export class AgentCommands {
  constructor(
    private readonly store: EventStore,
    private readonly agents: KnownAgents,
    @Inject(PROVIDERS) private readonly providers: Providers,
  ) {}

  @Command(openTenant)
  async openTenant(_input: InputOf<typeof openTenant>, context: TenantContext): Promise<ResultOf<typeof openTenant>> {
    return this.store.execute(agentAggregate, {
      tenant: context.tenant,
      stream: agentStream(DEFAULT_AGENT),
      command: { type: 'open', data: newProfile({ agent: DEFAULT_AGENT }) },
      context,
      reply: () => ({ agent: DEFAULT_AGENT }),
    });
  }

  @Command(createAgent)
  async createAgent(input: InputOf<typeof createAgent>, context: TenantContext): Promise<ResultOf<typeof createAgent>> {
    const refused = this.#unlessAllowed(context) ?? this.#unlessKnown(input.model);
    if (refused) return refused;
    const result = await this.store.execute(agentAggregate, {
      tenant: context.tenant,
      stream: agentStream(input.agent),
      command: { type: 'create', data: newProfile(input) },
      context,
      sealReply: true,
      reply: (agent) => viewOf(agent, this.providers.defaultModel()),
    });
    return result as ResultOf<typeof createAgent>;
  }

  @Command(updateAgent)
  async updateAgent(input: InputOf<typeof updateAgent>, context: TenantContext): Promise<ResultOf<typeof updateAgent>> {
    const refused = this.#unlessAllowed(context) ?? this.#unlessKnown(input.model);
    if (refused) return refused;
    const { agent, ...changes } = input;
    const result = await this.store.execute(agentAggregate, {
      tenant: context.tenant,
      stream: agentStream(agent),
      command: { type: 'update', data: { ...changes, updatedAt: new Date().toISOString() } },
      context,
      sealReply: true,
      reply: (agent) => viewOf(agent, this.providers.defaultModel()),
    });
    this.agents.announceChange(context.tenant, agent);
    return result as ResultOf<typeof updateAgent>;
  }

  @Command(archiveAgent)
  async archiveAgent(
    input: InputOf<typeof archiveAgent>,
    context: TenantContext,
  ): Promise<ResultOf<typeof archiveAgent>> {
    const refused = this.#unlessAllowed(context);
    if (refused) return refused;
    const result = await this.store.execute(agentAggregate, {
      tenant: context.tenant,
      stream: agentStream(input.agent),
      command: { type: 'archive', data: { archivedAt: new Date().toISOString() } },
      context,
      reply: () => ({}),
    });
    this.agents.announceChange(context.tenant, input.agent);
    return result as ResultOf<typeof archiveAgent>;
  }

  #unlessAllowed({ role }: TenantContext) {
    return role === 'owner' || role === 'admin'
      ? null
      : refuse('forbidden', 'only an owner or an admin may change agents');
  }

  #unlessKnown(model: string | null | undefined) {
    if (model === undefined || model === null) return null;
    const resolved = this.providers.resolve(model);
    return resolved.ok ? null : refuse('model_unknown', resolved.message);
  }
}

function viewOf(agent: Agent, defaultModel: string) {
  if (agent.status === 'absent') throw new Error('an agent that was just written is there');
  const { status, ...profile } = agent;
  return { ...profile, model: profile.model ?? defaultModel, archived: status === 'archived' };
}
