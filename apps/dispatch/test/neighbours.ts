import type { Msg, NatsConnection, Subscription } from '@nats-io/transport-node';
import { budgets, type InputOf, memory, type Request, workspace } from '@reef/contracts';
import { ContextVerifier, HEADER, toJson } from '@reef/messaging';

/** What a neighbour answers: a value, a refusal, or nothing at all. */
type Answer = { ok: true; value: unknown } | { ok: false; code: string; message: string; details?: unknown } | null;

export interface Asked<Message extends Request = Request> {
  readonly message: Message['name'];
  readonly tenant: string;
  readonly input: InputOf<Message>;
  readonly commandId: string;
  /** Who vouches for the request, and for whom; null where nobody does. */
  readonly claims: ReturnType<ContextVerifier['verify']>;
}

const { reserve, settle, release, extend } = budgets.commands;
const { recall } = memory.queries;
const { remember } = memory.commands;
const { promptContext } = workspace.queries;
const { runTool } = workspace.commands;

/** Budgets, workspace and memory as far as dispatch knows them: their contracts. They write down what they are asked. */
export class Neighbours {
  readonly #asked: Asked[] = [];
  readonly #answers = new Map<string, (input: never) => Answer>();
  readonly #subscriptions: Subscription[] = [];
  readonly #verifier: ContextVerifier;

  constructor(nats: NatsConnection, jwksFile: string) {
    this.#verifier = ContextVerifier.fromFile(jwksFile);
    const usually = <Message extends Request>(message: Message, answer: (input: InputOf<Message>) => object) =>
      this.#subscriptions.push(
        nats.subscribe(message.pattern, { callback: (_error, request) => this.#serve(message, request, answer) }),
      );
    usually(reserve, ({ outputTokensMax }) => ({
      outputTokensMax,
      heldPico: 1n,
      window: '2026-11',
      pressure: { utilisation: 0, step: 'free' },
      rates: [],
      weight: 1,
    }));
    usually(settle, () => ({ costPico: 1n, estimated: false }));
    usually(release, () => ({}));
    usually(extend, () => ({}));
    usually(promptContext, () => ({ files: [], skills: [], isNew: false }));
    usually(runTool, ({ name }) => ({ content: `did ${name}`, isError: false }));
    usually(recall, () => ({ items: [] }));
    usually(remember, ({ agent, user, text }) => memoryOf(text, { agent, user }));
  }

  /** From now on this tenant hears this from the service. Null: it hears nothing. */
  answer<Message extends Request>(
    message: Message,
    tenant: string,
    answer: ((input: InputOf<Message>) => Answer) | null,
  ): void {
    this.#answers.set(`${tenant} ${message.service} ${message.name}`, answer ?? (() => null));
  }

  /** What was asked of a tenant's neighbours, in order; a request that was sent again counts once. */
  asked<Message extends Request>(message: Message, tenant: string): Asked<Message>[] {
    const found = this.#asked.filter((each) => each.tenant === tenant && each.message === message.name);
    return [...new Map(found.map((each) => [each.commandId, each])).values()] as Asked<Message>[];
  }

  /** Reservations that are neither settled nor released, and those that were ended twice. */
  unbalanced(tenant: string): string[] {
    const open = new Map(this.asked(reserve, tenant).map(({ input }) => [input.reservationId, 0]));
    for (const { input } of [...this.asked(settle, tenant), ...this.asked(release, tenant)])
      open.set(input.reservationId, (open.get(input.reservationId) ?? 0) + 1);
    return [...open].filter(([, ends]) => ends !== 1).map(([id, ends]) => `${id} ended ${ends} times`);
  }

  close(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }

  #serve<Message extends Request>(message: Message, request: Msg, usual: (input: InputOf<Message>) => object): void {
    const tenant = request.subject.split('.')[1] ?? '';
    const input = message.input.parse(request.json()) as InputOf<Message>;
    this.#asked.push({
      message: message.name,
      tenant,
      input,
      commandId: request.headers?.get(HEADER.commandId) ?? '',
      claims: this.#verifier.verify(request.headers?.get(HEADER.context) ?? ''),
    });
    const special = this.#answers.get(`${tenant} ${message.service} ${message.name}`) as
      ((input: InputOf<Message>) => Answer) | undefined;
    const answer = special ? special(input) : { ok: true as const, value: usual(input) };
    if (!answer) return;
    request.respond(answer.ok ? `{"ok":true,"value":${toJson(message.output, answer.value)}}` : JSON.stringify(answer));
  }
}

export const memoryOf = (text: string, { agent = 'main', user = null as string | null } = {}) => ({
  memoryId: '00000000-0000-4000-8000-000000000001',
  agent,
  user,
  text,
  rememberedAt: '2026-11-22T12:00:00.000Z',
});
