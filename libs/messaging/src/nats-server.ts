import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node';
import {
  type Event,
  type Refusal,
  type Request,
  type Result,
  type TenantContext,
  type TransportRefusal,
} from '@reef/contracts';
import { type CustomTransportStrategy, type MessageHandler, Server } from '@nestjs/microservices';
import { firstValueFrom, isObservable } from 'rxjs';
import { hash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ContextVerifier } from './context-token.js';
import { crashAt } from './crash-points.js';
import { consumeEvents, type EventConsumer } from './event-consumer.js';
import { newId } from './ids.js';
import { logContext } from './log-context.js';
import { currentTraceId, extractTrace, inSpan, SpanKind } from './tracing.js';
import { HEADER, toJson } from './wire.js';

/** Requests one process works on at once; more are refused as `overloaded`, which a caller may retry. */
export const IN_FLIGHT_MAX = 4_000;
const DRAIN_TIMEOUT_MS = 10_000;

export interface NatsServerOptions {
  readonly nats: NatsConnection;
  readonly service: string;
  readonly verifier: ContextVerifier;
  /** Whether what a handler threw is a fault that ends by itself, such as a database that restarts: answered as `unavailable`. */
  readonly isPassing?: (error: unknown) => boolean;
  /** Told about what else a handler threw: a bug, not a refusal. */
  readonly onBug: (error: unknown, where: { subject: string; tenant: string }) => void;
}

const refusal = (
  code: TransportRefusal,
  message: string,
  details?: Record<string, unknown>,
): Refusal<TransportRefusal> => ({
  ok: false,
  code,
  message,
  ...(details && { details }),
});

/**
 * Nest's door to NATS. Nest's own transport wraps each payload in an envelope and knows no JetStream; this one puts bare JSON
 * on the subject and the rest in headers, so that `nats req` can call a service, and checks the tenant before a handler runs.
 */
export class NatsServer extends Server implements CustomTransportStrategy {
  #subscriptions: Subscription[] = [];
  #consumer: EventConsumer | null = null;
  #inFlight = 0;

  constructor(private readonly options: NatsServerOptions) {
    super();
  }

  async listen(started: (error?: unknown) => void): Promise<void> {
    try {
      const events: { message: Event; handler: MessageHandler }[] = [];
      for (const handler of this.messageHandlers.values()) {
        const message = (handler.extras as { message?: Request | Event } | undefined)?.message;
        if (!message) throw new Error('a handler needs @Command, @Query or @OnEvent');
        if (message.kind === 'evt') events.push({ message: message as Event, handler });
        else this.#serve(message as Request, handler);
      }
      if (events.length > 0) {
        this.#consumer = await consumeEvents(this.options.nats, {
          durable: `${this.options.service}-reactions`,
          events: events.map(({ message }) => message),
          deliver: async (event, context) => {
            const found = events.find(
              ({ message }) => message.service === event.service && message.name === event.type,
            );
            const outcome = await found?.handler(event, context);
            if (isObservable(outcome)) await firstValueFrom(outcome, { defaultValue: undefined });
          },
          onBug: (error, tenant) => this.options.onBug(error, { subject: `${this.options.service}-reactions`, tenant }),
        });
      }
      await this.options.nats.flush();
      started();
    } catch (error) {
      started(error);
    }
  }

  /** Stops taking requests, answers those it has (at most ten seconds), and leaves the connection to its owner. */
  async close(): Promise<void> {
    await this.#consumer?.stop();
    // A server that is away cannot drain; what it held for us it gives to others.
    const drained = Promise.all(this.#subscriptions.map((subscription) => subscription.drain()));
    await Promise.race([drained, sleep(DRAIN_TIMEOUT_MS, undefined, { ref: false })]).catch(() => undefined);
    const giveUpMs = Date.now() + DRAIN_TIMEOUT_MS;
    while (this.#inFlight > 0 && Date.now() < giveUpMs) await sleep(10);
  }

  override on(): never {
    throw new Error('this transport has no events of its own');
  }

  override unwrap<T>(): T {
    return this.options.nats as T;
  }

  #serve(message: Request, handler: MessageHandler): void {
    const subscription = this.options.nats.subscribe(message.pattern, {
      queue: message.service,
      callback: (error, request) => {
        if (!error) void this.#answer(message, handler, request);
      },
    });
    this.#subscriptions.push(subscription);
  }

  async #answer(message: Request, handler: MessageHandler, request: Msg): Promise<void> {
    const respond = (result: Result<unknown>) => {
      request.respond(
        result.ok ? `{"ok":true,"value":${toJson(message.output, result.value)}}` : JSON.stringify(result),
      );
    };
    if (this.#inFlight >= IN_FLIGHT_MAX) return respond(refusal('overloaded', `${message.service} has too much to do`));
    this.#inFlight++;
    const tenant = request.subject.split('.')[1] ?? '';
    try {
      const attributes = {
        'messaging.system': 'nats',
        'messaging.destination.name': message.pattern,
        'reef.tenant': tenant,
      };
      const parent = extractTrace(request.headers);
      await inSpan(
        `${message.service}.${message.name}`,
        { kind: SpanKind.SERVER, parent, attributes },
        async (span) => {
          const result = await this.#handle(message, handler, request, tenant);
          crashAt(message.service, 'before-reply');
          if (!result.ok) span.setAttribute('reef.refusal', result.code);
          respond(result);
        },
      );
    } catch (error) {
      if (this.options.isPassing?.(error))
        return respond(refusal('unavailable', `${message.service} is cut off from its database`));
      this.options.onBug(error, { subject: message.pattern, tenant });
      respond(refusal('internal', 'something went wrong on our side', { traceId: currentTraceId() }));
    } finally {
      this.#inFlight--;
    }
  }

  async #handle(message: Request, handler: MessageHandler, request: Msg, tenant: string): Promise<Result<unknown>> {
    const { headers } = request;
    const deadlineMs = Number(headers?.get(HEADER.deadline) || Infinity);
    if (Date.now() > deadlineMs) return refusal('deadline_exceeded', 'nobody waits for this answer any more');

    const token = headers?.get(HEADER.context) ?? '';
    const claims = this.options.verifier.verify(token);
    if (!claims) return refusal('unauthenticated', 'no valid tenant context');
    if (claims.tenant !== tenant) return refusal('unauthenticated', 'the tenant context is for another tenant');

    let body: unknown;
    try {
      body = JSON.parse(request.string() || '{}');
    } catch {
      return refusal('invalid_input', 'the payload is not JSON');
    }
    const input = message.input.safeParse(body);
    if (!input.success)
      return refusal('invalid_input', 'the payload does not match the contract', { errors: fieldErrors(input.error) });

    const commandId = headers?.get(HEADER.commandId) || newId();
    const context: TenantContext = {
      tenant,
      principal: claims.principal,
      role: claims.role,
      token,
      commandId,
      fingerprint: message.kind === 'cmd' ? hash('sha1', request.data, 'base64url') : '',
      correlationId: headers?.get(HEADER.correlationId) || commandId,
      causationId: headers?.get(HEADER.causationId) || null,
      deadlineMs,
    };
    return logContext.run({ tenant, request: `${message.service}.${message.name}` }, async () => {
      const outcome: unknown = await handler(input.data, context);
      return (isObservable(outcome) ? await firstValueFrom(outcome) : outcome) as Result<unknown>;
    });
  }
}

/** Where and why an input was refused, without the input itself. */
export function fieldErrors(error: {
  issues: { path: PropertyKey[]; message: string }[];
}): { field: string; message: string }[] {
  return error.issues
    .slice(0, 20)
    .map((issue) => ({ field: issue.path.map(String).join('.'), message: issue.message }));
}
