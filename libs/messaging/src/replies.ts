import { createInbox, type Msg, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node';

const NO_RESPONDERS = 503;

/**
 * Sends requests and finds their answers again, on one subscription. The client library's own request makes an error, with the
 * stack it was called from, for each request that is answered: a twentieth of what a turn costs.
 */
export class Replies {
  readonly #inbox = createInbox();
  readonly #waiting = new Map<string, (reply: Msg) => void>();
  #listening = false;
  #last = 0;

  constructor(private readonly nats: NatsConnection) {}

  /**
   * @returns the answer; `nobody` when no one listens there, `silence` when none came in time.
   * @throws when the connection is closed.
   */
  async request(
    subject: string,
    payload: string,
    { headers, timeoutMs }: { headers: MsgHdrs; timeoutMs: number },
  ): Promise<Msg | 'nobody' | 'silence'> {
    this.#listen();
    const token = (++this.#last).toString(36);
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise((resolve) => {
        this.#waiting.set(token, (reply) => resolve(isNobody(reply) ? 'nobody' : reply));
        timer = setTimeout(() => resolve('silence'), timeoutMs);
        this.nats.publish(subject, payload, { headers, reply: `${this.#inbox}.${token}` });
      });
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(token);
    }
  }

  #listen(): void {
    if (this.#listening) return;
    this.#listening = true;
    this.nats.subscribe(`${this.#inbox}.*`, {
      callback: (error, reply) => {
        if (!error) this.#waiting.get(reply.subject.slice(this.#inbox.length + 1))?.(reply);
      },
    });
  }
}

function isNobody({ data, headers }: Msg): boolean {
  return data.length === 0 && headers?.code === NO_RESPONDERS;
}
