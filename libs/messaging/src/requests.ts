import { headers, type NatsConnection } from '@nats-io/transport-node';
import type { InputOf, Refusal, Request, ResultOf, TenantContext, TransportRefusal } from '@reef/contracts';
import { setTimeout as sleep } from 'node:timers/promises';
import { newId } from './ids.js';
import { Replies } from './replies.js';
import { inSpan, injectTrace, SpanKind } from './tracing.js';
import { HEADER, PAYLOAD_BYTES_MAX, toJson } from './wire.js';

export const REQUEST_TIMEOUT_MS = 10_000;
/** A request without an answer is sent again after this long, ms: the instance that had it may be dead. */
const RESEND_AFTER_MS = 2_500;
const NOBODY_LISTENS_WAIT_MS = 50;
const UNAVAILABLE_WAIT_MS = 100;

export type OnBehalfOf = Pick<TenantContext, 'tenant' | 'token'> &
  Partial<Pick<TenantContext, 'correlationId' | 'deadlineMs'>>;

export interface RequestOptions {
  /** Idempotency key: a command sent twice under one key happens once. A new one by default. */
  commandId?: string;
  /** How long the answer is worth waiting for; the context's own deadline still applies. */
  timeoutMs?: number;
  causationId?: string;
}

const refusal = (code: TransportRefusal, message: string): Refusal<TransportRefusal> => ({ ok: false, code, message });

/** Sends commands and queries to services, in the name of a tenant. */
export class Requests {
  readonly #replies: Replies;

  constructor(private readonly nats: NatsConnection) {
    this.#replies = new Replies(nats);
  }

  /**
   * Asks and waits. Sent again while nobody answers and time is left, under the same command id.
   * @returns the service's own result, or `unavailable`, `deadline_exceeded`, `invalid_input`.
   */
  async send<Message extends Request>(
    message: Message,
    onBehalfOf: OnBehalfOf,
    input: InputOf<Message>,
    options: RequestOptions = {},
  ): Promise<ResultOf<Message>> {
    const subject = message.subject(onBehalfOf.tenant);
    const attributes = {
      'messaging.system': 'nats',
      'messaging.destination.name': message.pattern,
      'reef.tenant': onBehalfOf.tenant,
    };
    return inSpan(`${message.service}.${message.name} send`, { kind: SpanKind.CLIENT, attributes }, async (span) => {
      const result = await this.#send(message, subject, onBehalfOf, input, options);
      if (!result.ok) span.setAttribute('reef.refusal', result.code);
      return result;
    });
  }

  async #send<Message extends Request>(
    message: Message,
    subject: string,
    onBehalfOf: OnBehalfOf,
    input: InputOf<Message>,
    options: RequestOptions,
  ): Promise<ResultOf<Message>> {
    const deadlineMs = Math.min(
      Date.now() + (options.timeoutMs ?? REQUEST_TIMEOUT_MS),
      onBehalfOf.deadlineMs ?? Infinity,
    );
    const payload = encodeInput(message, input);
    if (payload === null) return refusal('invalid_input', `this is no input of ${message.service}.${message.name}`);
    if (Buffer.byteLength(payload) > PAYLOAD_BYTES_MAX) {
      return refusal('invalid_input', `a message may hold ${PAYLOAD_BYTES_MAX} bytes at most`);
    }
    const header = headers();
    header.set(HEADER.context, onBehalfOf.token);
    header.set(HEADER.commandId, options.commandId ?? newId());
    header.set(HEADER.deadline, String(deadlineMs));
    if (onBehalfOf.correlationId) header.set(HEADER.correlationId, onBehalfOf.correlationId);
    if (options.causationId) header.set(HEADER.causationId, options.causationId);
    injectTrace(header);

    for (;;) {
      const leftMs = deadlineMs - Date.now();
      if (leftMs <= 0) return refusal('deadline_exceeded', `${message.service} did not answer in time`);
      const timeoutMs = Math.min(leftMs, RESEND_AFTER_MS);
      try {
        const reply = await this.#replies.request(subject, payload, { headers: header, timeoutMs });
        if (reply === 'silence') continue;
        if (reply === 'nobody') {
          if (deadlineMs - Date.now() <= NOBODY_LISTENS_WAIT_MS)
            return refusal('unavailable', `${message.service} is not running`);
          await sleep(NOBODY_LISTENS_WAIT_MS);
          continue;
        }
        const answer = this.#parse(message, reply.string());
        // An instance that is stopping, or has lost its database for a moment, says so; the next one may not.
        if (answer.ok || answer.code !== 'unavailable' || deadlineMs - Date.now() <= UNAVAILABLE_WAIT_MS) return answer;
        await sleep(UNAVAILABLE_WAIT_MS);
      } catch {
        if (this.nats.isClosed() || this.nats.isDraining()) return refusal('unavailable', 'this process is stopping');
        await sleep(NOBODY_LISTENS_WAIT_MS); // The connection broke under the request; it is being made again.
      }
    }
  }

  #parse<Message extends Request>(message: Message, text: string): ResultOf<Message> {
    const reply = JSON.parse(text) as { ok: boolean; value?: unknown };
    if (!reply.ok) return reply as ResultOf<Message>;
    return { ok: true, value: message.output.parse(reply.value) } as ResultOf<Message>;
  }
}

function encodeInput<Message extends Request>(message: Message, input: InputOf<Message>): string | null {
  try {
    return toJson(message.input, input);
  } catch (error) {
    if (error instanceof Error && error.name.endsWith('ZodError')) return null;
    throw error;
  }
}
