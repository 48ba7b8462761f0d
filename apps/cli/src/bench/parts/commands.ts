import { budgets, type Command, type InputOf, PLATFORM } from '@reef/contracts';
import { connectNats, ContextSigner, HEADER, newId } from '@reef/messaging';
import { headers, type NatsConnection } from '@nats-io/transport-node';
import type { OwnStack } from './own-stack.js';

const answerLimitMs = 10_000;
/** A context is good for 60 s. */
const contextMs = 30_000;

/** Sends commands straight to a service, signed as the edge signs them; says yes or no and reads no more of the answer. */
export class Commands {
  readonly #contexts = new Map<string, { token: string; signedAtMs: number }>();

  private constructor(
    private readonly nats: NatsConnection,
    private readonly signer: ContextSigner,
  ) {}

  static async connect({ natsUrl, edgeSigningKeyFile }: OwnStack): Promise<Commands> {
    return new Commands(await connectNats(natsUrl, 'bench'), ContextSigner.fromFile('edge', edgeSigningKeyFile));
  }

  close(): Promise<void> {
    return this.nats.close();
  }

  /** @returns the command's id. Throws when it is refused. */
  async send<Message extends Command>(tenant: string, message: Message, input: InputOf<Message>): Promise<string> {
    const commandId = newId();
    const header = headers();
    header.set(HEADER.context, this.#contextOf(tenant));
    header.set(HEADER.commandId, commandId);
    header.set(HEADER.deadline, String(Date.now() + answerLimitMs));
    const json = JSON.stringify(input, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
    const reply = await this.nats.request(message.subject(tenant), json, { headers: header, timeout: answerLimitMs });
    const text = reply.string();
    if (!text.startsWith('{"ok":true')) throw new Error(`${message.service}.${message.name} was refused: ${text}`);
    return commandId;
  }

  #contextOf(tenant: string): string {
    const known = this.#contexts.get(tenant);
    if (known && Date.now() - known.signedAtMs < contextMs) return known.token;
    const principal = { kind: 'service', id: 'edge' } as const;
    const token = this.signer.sign({ tenant, principal, role: tenant === PLATFORM ? 'operator' : 'owner' });
    this.#contexts.set(tenant, { token, signedAtMs: Date.now() });
    return token;
  }
}

/** The money side of one model call, as dispatch asks for it. */
export class ModelCalls {
  readonly #window = new Date().toISOString().slice(0, 7);
  readonly #expiresAt = new Date(Date.now() + 10 * 60_000).toISOString();

  constructor(private readonly commands: Commands) {}

  /** @returns the reservation's id. */
  async reserve(tenant: string): Promise<string> {
    const reservationId = newId();
    const turnId = newId();
    await this.commands.send(tenant, budgets.commands.reserve, {
      reservationId,
      attribution: {
        turnId,
        agent: 'main',
        user: null,
        session: `agent:main:openai:${turnId}`,
        keyId: null,
        model: 'simulator/sim-script',
        source: 'chat',
      },
      inputTokensMax: 1_000,
      outputTokensMax: 500,
      firstOfTurn: true,
      worker: 'bench',
      expiresAt: this.#expiresAt,
    });
    return reservationId;
  }

  /** @returns the id of the command. */
  settle(tenant: string, reservationId: string): Promise<string> {
    return this.commands.send(tenant, budgets.commands.settle, {
      reservationId,
      window: this.#window,
      outcome: 'completed',
      usage: {
        inputTokens: 900,
        cacheReadTokens: 0,
        cacheWriteTokens: 0,
        cacheWrite1hTokens: 0,
        outputTokens: 20,
        reasoningTokens: 0,
      },
      outputTokensSeen: 20,
    });
  }
}
