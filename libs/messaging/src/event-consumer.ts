import { AckPolicy, DeliverPolicy, jetstream, type ConsumerMessages, type JsMsg } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Event, TenantContext } from '@reef/contracts';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Delivered } from './decorators.js';
import { ensureFeed, EVENTS_STREAM } from './event-feed.js';
import { Later } from './later.js';
import { inSpan, SpanKind, traceFrom } from './tracing.js';

const ACK_WAIT_NS = 30 * 1_000_000_000;
const UNACKNOWLEDGED_MAX = 2_000;
const RETRY_FIRST_MS = 100;
const RETRY_MOST_MS = 30_000;
const RECREATE_AFTER_MS = 250;

/** An event on the feed as the relay writes it. `data` is the stored JSON: personal fields are sealed strings. */
export interface FeedEvent {
  eventId: string;
  tenant: string;
  service: string;
  stream: string;
  version: number;
  type: string;
  schemaVersion: number;
  data: Record<string, unknown>;
  actor: string;
  commandId: string;
  correlationId: string;
  causationId: string | null;
  traceparent: string | null;
  occurredAt: string;
}

export interface EventConsumer {
  /** Stops taking events and waits for those in hand. */
  stop(): Promise<void>;
}

export interface BatchConsumerOptions {
  /** Names the position in the feed; instances of a service share it. */
  readonly durable: string;
  /** Subjects to follow; all events by default. */
  readonly subjects?: readonly string[];
  readonly batchMax: number;
  /** How long a batch that is not full waits for more, ms. */
  readonly lingerMs: number;
  /**
   * Must commit its effect before it returns, and bear the same event twice. A throw makes the whole batch come again; what
   * it returns comes again alone.
   */
  readonly deliver: (events: FeedEvent[]) => Promise<readonly FeedEvent[]>;
  readonly onBug: (error: unknown) => void;
}

/**
 * Follows the feed in batches under a durable position. It survives the loss of the feed: the stream and the position are
 * made anew, and what the relays publish again is delivered again.
 */
export async function consumeBatches(nats: NatsConnection, options: BatchConsumerOptions): Promise<EventConsumer> {
  const stopping = new AbortController();
  let messages: ConsumerMessages | null = null;

  const open = async () => {
    const { manager } = await ensureFeed(nats);
    await manager.consumers.add(EVENTS_STREAM, {
      durable_name: options.durable,
      ack_policy: AckPolicy.Explicit,
      ack_wait: ACK_WAIT_NS,
      deliver_policy: DeliverPolicy.All,
      max_ack_pending: UNACKNOWLEDGED_MAX,
      max_deliver: -1,
      ...(options.subjects && { filter_subjects: [...options.subjects] }),
    });
    const consumer = await jetstream(nats, { checkAPI: false }).consumers.get(EVENTS_STREAM, options.durable);
    return consumer.consume({ max_messages: options.batchMax, abort_on_missing_resource: true });
  };

  const work = async (batch: JsMsg[]) => {
    const events = batch.map((message) => message.json<FeedEvent>());
    const again = new Set(
      await options.deliver(events).catch((error: unknown) => {
        options.onBug(error);
        return events;
      }),
    );
    for (const [index, message] of batch.entries()) {
      const event = events[index];
      if (!event || !again.has(event)) message.ack();
      else message.nak(Math.min(RETRY_FIRST_MS * 2 ** Math.min(message.info.deliveryCount, 16), RETRY_MOST_MS));
    }
  };

  const run = async () => {
    while (!stopping.signal.aborted) {
      try {
        messages = await open();
        for await (const batch of inBatches(messages, options.batchMax, options.lingerMs)) await work(batch);
      } catch (error) {
        if (stopping.signal.aborted || nats.isClosed()) return;
        if (!(error instanceof Error && /not found|missing|deleted|no responders|timeout|closed/i.test(error.message)))
          options.onBug(error);
      }
      if (!stopping.signal.aborted) await sleep(RECREATE_AFTER_MS, undefined, { ref: false });
    }
  };

  // The first opening is awaited so that a service is ready only when its position exists.
  await ensureFeed(nats);
  const running = run();
  return {
    async stop() {
      stopping.abort();
      await messages?.close();
      await running;
    },
  };
}

async function* inBatches(messages: ConsumerMessages, batchMax: number, lingerMs: number): AsyncGenerator<JsMsg[]> {
  const iterator = messages[Symbol.asyncIterator]();
  let next = iterator.next();
  for (;;) {
    const first = await next;
    if (first.done) return;
    const batch = [first.value];
    next = iterator.next();
    const lingered = sleep(lingerMs, 'lingered' as const, { ref: false });
    while (batch.length < batchMax) {
      const more = await Promise.race([next, lingered]);
      if (more === 'lingered' || more.done) break;
      batch.push(more.value);
      next = iterator.next();
    }
    yield batch;
  }
}

export interface ReactionOptions {
  readonly durable: string;
  readonly events: readonly Event[];
  readonly deliver: (event: Delivered, context: TenantContext) => Promise<void>;
  readonly onBug: (error: unknown, tenant: string) => void;
}

/** Follows the named events, one at a time per batch, and hands each to a reaction. */
export async function consumeEvents(nats: NatsConnection, options: ReactionOptions): Promise<EventConsumer> {
  const contracts = new Map(options.events.map((event) => [`${event.service}.${event.name}`, event]));
  return consumeBatches(nats, {
    durable: options.durable,
    subjects: options.events.map((event) => event.pattern),
    batchMax: 64,
    lingerMs: 0,
    onBug: (error) => options.onBug(error, ''),
    deliver: async (events) => {
      const again: FeedEvent[] = [];
      for (const event of events) {
        const contract = contracts.get(`${event.service}.${event.type}`);
        if (!contract) continue;
        const attributes = { 'messaging.system': 'nats', 'reef.tenant': event.tenant };
        const parent = traceFrom(event.traceparent);
        try {
          await inSpan(`${options.durable} ${event.type}`, { kind: SpanKind.CONSUMER, parent, attributes }, () =>
            options.deliver(delivered(contract, event), contextOf(event, options.durable)),
          );
        } catch (error) {
          // One event that cannot be handled must not hold up the others.
          if (!(error instanceof Later)) options.onBug(error, event.tenant);
          again.push(event);
        }
      }
      return again;
    },
  });
}

/** Lifts a feed event to today's shape and leaves out what only its owner can read. */
export function delivered(contract: Event, event: FeedEvent): Delivered {
  let data = event.data;
  for (let version = event.schemaVersion; version < contract.schemaVersion; version++) {
    data = contract.upcast[version]?.(data) ?? data;
  }
  return { ...event, type: event.type, data: readablePart(contract).parse(data) } as Delivered;
}

const readableParts = new WeakMap<Event, z.ZodObject>();

function readablePart(contract: Event): z.ZodObject {
  let part = readableParts.get(contract);
  if (!part) {
    const hidden = new Set(contract.personalFields);
    part = z.object(Object.fromEntries(Object.entries(contract.data.shape).filter(([field]) => !hidden.has(field))));
    readableParts.set(contract, part);
  }
  return part;
}

/** A reaction works in its own service's name for the event's tenant; it carries no token, so it cannot leave the process. */
function contextOf(event: FeedEvent, durable: string): TenantContext {
  return {
    tenant: event.tenant,
    principal: { kind: 'service', id: durable },
    role: 'none',
    token: '',
    commandId: `${durable}:${event.eventId}`,
    fingerprint: '',
    correlationId: event.correlationId,
    causationId: event.eventId,
    deadlineMs: Infinity,
  };
}
