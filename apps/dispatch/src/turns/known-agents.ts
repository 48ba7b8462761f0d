import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import type { NatsConnection, Subscription } from '@nats-io/transport-node';
import { dispatch } from '@reef/contracts';
import { EventStore } from '@reef/eventing';
import { NATS } from '@reef/service';
import { LRUCache } from 'lru-cache';
import { agentAggregate, agentStream } from '../aggregates.js';
import type { Agent } from '../domain/agent.js';
import type { Providers } from '../engines/providers.js';
import { PROVIDERS } from '../tokens.js';

const AGENTS_KEPT_MAX = 10_000;
/** A change in another instance whose announcement was missed is noticed after this time, ms. */
const KEPT_MS = 15_000;

/** An agent as a turn needs it: with the model it will use. */
export interface KnownAgent {
  readonly agent: string;
  readonly name: string;
  readonly model: string;
  readonly instructions: string;
}

/** The agents that turns ask for, kept until an event says that one changed. */
@Injectable()
export class KnownAgents implements OnModuleInit, OnModuleDestroy {
  readonly #agents = new LRUCache<string, Agent>({ max: AGENTS_KEPT_MAX, ttl: KEPT_MS });
  #subscriptions: Subscription[] = [];

  constructor(
    private readonly store: EventStore,
    @Inject(NATS) private readonly nats: NatsConnection,
    @Inject(PROVIDERS) private readonly providers: Providers,
  ) {}

  onModuleInit(): void {
    const { AgentCreated, AgentUpdated, AgentArchived } = dispatch.events;
    this.#subscriptions = [AgentCreated, AgentUpdated, AgentArchived].map(({ pattern }) =>
      this.nats.subscribe(pattern, {
        callback: (_error, message) => this.#forgetTenant(message.subject.split('.')[1] ?? ''),
      }),
    );
  }

  onModuleDestroy(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }

  /** The agent, if there is one and it is not archived. */
  async find(tenant: string, agent: string): Promise<KnownAgent | null> {
    const key = `${tenant} ${agent}`;
    let known = this.#agents.get(key);
    if (!known) {
      known = (await this.store.load(agentAggregate, tenant, agentStream(agent))).state;
      if (known.status === 'active') this.#agents.set(key, known);
    }
    if (known.status !== 'active') return null;
    return { ...known, model: known.model ?? this.providers.defaultModel() };
  }

  /** This process changed an agent itself: nobody needs to be told first. */
  forget(tenant: string, agent: string): void {
    this.#agents.delete(`${tenant} ${agent}`);
  }

  #forgetTenant(tenant: string): void {
    for (const key of this.#agents.keys()) if (key.startsWith(`${tenant} `)) this.#agents.delete(key);
  }
}
