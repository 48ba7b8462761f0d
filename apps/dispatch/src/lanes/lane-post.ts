import { Inject, Injectable } from '@nestjs/common';
import { headers, type Msg, type MsgHdrs, type NatsConnection, type Subscription } from '@nats-io/transport-node';
import { PLATFORM } from '@reef/contracts';
import { CONTEXT_TTL_S, ContextSigner, ContextVerifier, HEADER } from '@reef/messaging';
import { NATS } from '@reef/service';
import { WORKER } from '../tokens.js';
import { type LaneAnswer, laneAnswer, type LaneMessage, laneMessage, laneSubject, lanesSubject } from './messages.js';

/** An owner that does not answer for so long is looked for anew, ms. */
const ANSWER_TIMEOUT_MS = 2_000;
/** What dispatch signs for other services' ears names no process of its lanes. */
const SENDER = 'lanes:';
const TOKEN_KEPT_MS = (CONTEXT_TTL_S / 2) * 1_000;

/** Answers at once, or not at all: what a process says of its lanes is heard in the order in which it was said. */
export type Hear = (from: string, message: LaneMessage) => LaneAnswer | null;

/** Carries what processes say to each other about lanes. Each proves by a signed context that it is dispatch, and which process. */
@Injectable()
export class LanePost {
  #subscriptions: Subscription[] = [];
  #token = { value: '', signedAtMs: -Infinity };

  constructor(
    @Inject(NATS) private readonly nats: NatsConnection,
    @Inject(WORKER) private readonly worker: string,
    private readonly signer: ContextSigner,
    private readonly verifier: ContextVerifier,
  ) {}

  /** Resolves when others can be heard. */
  async listen(hear: Hear): Promise<void> {
    const callback = (error: Error | null, message: Msg) => {
      if (error) return;
      const from = this.#senderOf(message);
      const parsed = from === null ? null : laneMessage.safeParse(jsonOf(message));
      if (from === null || !parsed?.success) return;
      const answer = hear(from, parsed.data);
      if (answer && message.reply) message.respond(JSON.stringify(answer));
    };
    this.#subscriptions = [laneSubject(this.worker), lanesSubject].map((subject) =>
      this.nats.subscribe(subject, { callback }),
    );
    await this.nats.flush();
  }

  close(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }

  /** @returns null where nobody answered in time. */
  async request(worker: string, message: LaneMessage): Promise<LaneAnswer | null> {
    try {
      const options = { headers: this.#headers(), timeout: ANSWER_TIMEOUT_MS };
      const reply = await this.nats.request(laneSubject(worker), JSON.stringify(message), options);
      return laneAnswer.safeParse(jsonOf(reply)).data ?? null;
    } catch {
      return null; // Nobody is there, or the connection is not: either way the caller looks for the owner anew.
    }
  }

  send(worker: string, message: LaneMessage): void {
    this.#publish(laneSubject(worker), message);
  }

  tellAll(message: LaneMessage): void {
    this.#publish(lanesSubject, message);
  }

  #publish(subject: string, message: LaneMessage): void {
    if (!this.nats.isClosed()) this.nats.publish(subject, JSON.stringify(message), { headers: this.#headers() });
  }

  #headers(): MsgHdrs {
    const nowMs = Date.now();
    if (nowMs - this.#token.signedAtMs > TOKEN_KEPT_MS) {
      const principal = { kind: 'service', id: `${SENDER}${this.worker}` } as const;
      this.#token = { value: this.signer.sign({ tenant: PLATFORM, principal, role: 'none' }), signedAtMs: nowMs };
    }
    const header = headers();
    header.set(HEADER.context, this.#token.value);
    return header;
  }

  /** The process that signed; null where it is not one of dispatch. */
  #senderOf({ headers: header }: Msg): string | null {
    const claims = this.verifier.verify(header?.get(HEADER.context) ?? '');
    if (claims?.iss !== 'dispatch' || claims.tenant !== PLATFORM || claims.principal.kind !== 'service') return null;
    const { id } = claims.principal;
    return id.startsWith(SENDER) ? id.slice(SENDER.length) : null;
  }
}

function jsonOf(message: Msg): unknown {
  try {
    return message.json();
  } catch {
    return null;
  }
}
