import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import type { NatsConnection, Subscription } from '@nats-io/transport-node';
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

/** Core NATS, not stored: an agent changed. */
const changed = {
  subject: (tenant: string, agent: string) => `tenant.${tenant}.dispatch.live.agentChanged.${agent}`,
  pattern: 'tenant.*.dispatch.live.agentChanged.*',
};

/** An agent as a turn needs it: with the model it will use. */
export interface KnownAgent {
  readonly agent: string;
  readonly name: string;
  readonly model: string;
  readonly instructions: string;
}

/** The agents that turns ask for, kept until the instance that changes one says so. */
@Injectable()
export class KnownAgents implements OnModuleInit, OnModuleDestroy {
  readonly #agents = new LRUCache<string, Agent>({ max: AGENTS_KEPT_MAX, ttl: KEPT_MS });
  #subscription: Subscription | null = null;

  constructor(
    private readonly store: EventStore,
    @Inject(NATS) private readonly nats: NatsConnection,
    @Inject(PROVIDERS) private readonly providers: Providers,
  ) {}

  onModuleInit(): void {
    this.#subscription = this.nats.subscribe(changed.pattern, {
      callback: (_error, { subject }) => {
        const [, tenant = '', , , , agent = ''] = subject.split('.');
        this.#agents.delete(`${tenant} ${agent}`);
      },
    });
  }

  onModuleDestroy(): void {
    this.#subscription?.unsubscribe();
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

  /** Tells every instance, this one first. Said before the command's reply, it is heard before anything its causer sends next. */
  announceChange(tenant: string, agent: string): void {
    this.#agents.delete(`${tenant} ${agent}`);
    this.nats.publish(changed.subject(tenant, agent));
  }
}
