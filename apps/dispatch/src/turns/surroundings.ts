import { Inject, Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import type { NatsConnection, Subscription } from '@nats-io/transport-node';
import { memory, memoryChanged, type OutputOf, workspace, workspaceChanged } from '@reef/contracts';
import { type OnBehalfOf, Requests } from '@reef/messaging';
import { InjectLogger, NATS } from '@reef/service';
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';

export type PromptContext = OutputOf<typeof workspace.queries.promptContext>;
export type Recalled = OutputOf<typeof memory.queries.recall>['items'];

const TENANTS_CACHED_MAX = 5_000;
const ENTRIES_PER_TENANT_MAX = 200;
/** A change that was missed is noticed after this time, ms. */
const CACHE_TTL_MS = 60_000;
/** A turn goes on without memories rather than wait longer, ms. */
const RECALL_TIMEOUT_MS = 2_000;

/**
 * What a prompt takes from other services: the agent's files and what is remembered of the user. Kept until its owner says
 * that it changed; on one NATS server that word is here before anything its causer sends afterwards.
 */
@Injectable()
export class Surroundings implements OnModuleInit, OnModuleDestroy {
  readonly #files = perTenant<PromptContext>();
  readonly #nothingRemembered = perTenant<true>();
  #subscriptions: Subscription[] = [];

  constructor(
    private readonly requests: Requests,
    @Inject(NATS) private readonly nats: NatsConnection,
    @InjectLogger() private readonly logger: Logger,
  ) {}

  onModuleInit(): void {
    const dropOn = (pattern: string, cache: { delete(tenant: string): boolean }) =>
      this.nats.subscribe(pattern, {
        callback: (_error, { subject }) => void cache.delete(subject.split('.')[1] ?? ''),
      });
    this.#subscriptions = [
      dropOn(workspaceChanged.pattern, this.#files),
      dropOn(memoryChanged.pattern, this.#nothingRemembered),
    ];
  }

  onModuleDestroy(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }

  /** @returns null where the workspace did not answer in time. */
  async filesOf(onBehalfOf: OnBehalfOf, agent: string, user: string | null): Promise<PromptContext | null> {
    const kept = entriesOf(this.#files, onBehalfOf.tenant);
    const key = JSON.stringify([agent, user]);
    const known = kept.get(key);
    if (known) return known;
    const answer = await this.requests.send(workspace.queries.promptContext, onBehalfOf, { agent, user });
    if (!answer.ok) {
      this.logger.warn({ code: answer.code }, 'the workspace gave no files for a prompt');
      return null;
    }
    // If a change was announced meanwhile, `kept` is no longer the tenant's, and nothing stale is found in it.
    keep(kept, key, answer.value);
    return answer.value;
  }

  async recall(onBehalfOf: OnBehalfOf, agent: string, user: string | null, text: string): Promise<Recalled> {
    const kept = entriesOf(this.#nothingRemembered, onBehalfOf.tenant);
    const key = JSON.stringify([agent, user]);
    if (kept.has(key)) return [];
    const answer = await this.requests.send(
      memory.queries.recall,
      onBehalfOf,
      { agent, user, text: text.slice(0, 20_000), limit: 6 },
      { timeoutMs: RECALL_TIMEOUT_MS },
    );
    if (!answer.ok) {
      this.logger.warn({ code: answer.code }, 'a turn goes on without memories');
      return [];
    }
    if (answer.value.items.length === 0) keep(kept, key, true);
    return answer.value.items;
  }
}

function perTenant<Value>() {
  return new LRUCache<string, Map<string, Value>>({ max: TENANTS_CACHED_MAX, ttl: CACHE_TTL_MS });
}

function entriesOf<Value>(cache: ReturnType<typeof perTenant<Value>>, tenant: string): Map<string, Value> {
  let entries = cache.get(tenant);
  if (!entries) {
    entries = new Map();
    cache.set(tenant, entries);
  }
  return entries;
}

function keep<Value>(entries: Map<string, Value>, key: string, value: Value): void {
  if (entries.size >= ENTRIES_PER_TENANT_MAX) entries.clear();
  entries.set(key, value);
}
