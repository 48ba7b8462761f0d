import type { Subscription } from '@nats-io/transport-node';
import {
  type ContextClaims,
  dispatch,
  identity,
  type InputOf,
  type LiveFrame,
  liveSubject,
  type Request,
  type Result,
} from '@reef/contracts';
import { connectNats, ContextVerifier, HEADER } from '@reef/messaging';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Heard<Message extends Request = Request> {
  readonly input: InputOf<Message>;
  readonly claims: ContextClaims;
  readonly commandId: string;
  readonly subjectTenant: string;
}

type Frame = LiveFrame extends infer Each ? (Each extends LiveFrame ? Omit<Each, 'seq'> : never) : never;
type Start = InputOf<typeof dispatch.commands.startTurn>;

/** Stands in for the services on a real NATS: answers what a test tells it to, if the contract allows it, and remembers what was asked. */
export class FixtureServices {
  readonly heard: { name: string; heard: Heard }[] = [];
  readonly #subscriptions = new Map<string, Subscription>();

  private constructor(
    readonly nats: Awaited<ReturnType<typeof connectNats>>,
    private readonly verifier: ContextVerifier,
  ) {}

  static async connect(url: string, jwksFile: string): Promise<FixtureServices> {
    return new FixtureServices(await connectNats(url, 'fixture'), ContextVerifier.fromFile(jwksFile));
  }

  answer<Message extends Request>(
    message: Message,
    answer: (heard: Heard<Message>) => Result<unknown> | Promise<Result<unknown>>,
  ): void {
    this.#subscriptions.get(message.pattern)?.unsubscribe();
    const subscription = this.nats.subscribe(message.pattern, {
      callback: (_error, request) => {
        const claims = this.verifier.verify(request.headers?.get(HEADER.context) ?? '');
        const subjectTenant = request.subject.split('.')[1] ?? '';
        if (claims?.tenant !== subjectTenant) {
          request.respond(JSON.stringify({ ok: false, code: 'unauthenticated', message: 'no context' }));
          return;
        }
        const input = message.input.parse(JSON.parse(request.string())) as InputOf<Message>;
        const heard = { input, claims, subjectTenant, commandId: request.headers?.get(HEADER.commandId) ?? '' };
        this.heard.push({ name: `${message.service}.${message.name}`, heard: heard as Heard });
        void Promise.resolve(answer(heard)).then((result) =>
          request.respond(
            JSON.stringify(result.ok ? { ok: true, value: message.output.encode(result.value) } : result),
          ),
        );
      },
    });
    this.#subscriptions.set(message.pattern, subscription);
  }

  silence(message: Request): void {
    this.#subscriptions.get(message.pattern)?.unsubscribe();
    this.#subscriptions.delete(message.pattern);
  }

  asked<Message extends Request>(message: Message): Heard<Message>[] {
    return this.heard
      .filter(({ name }) => name === `${message.service}.${message.name}`)
      .map(({ heard }) => heard as Heard<Message>);
  }

  /** Every turn is accepted and says these frames, a few ms apart. */
  turnsSay(frames: readonly Frame[], options: { everyMs?: number; dropSeq?: number } = {}): void {
    this.answer(dispatch.commands.startTurn, ({ input, subjectTenant }) => {
      void this.#say(subjectTenant, input, frames, options);
      const session = input.session ?? `agent:${input.agent}:turn:${input.turnId}`;
      return { ok: true, value: { turnId: input.turnId, agent: input.agent, session, model: 'simulated/small' } };
    });
  }

  async #say(
    tenant: string,
    { edgeId, turnId }: Start,
    frames: readonly Frame[],
    { everyMs = 1, dropSeq = -1 }: { everyMs?: number; dropSeq?: number },
  ): Promise<void> {
    for (const [seq, frame] of frames.entries()) {
      await sleep(everyMs);
      if (this.nats.isClosed()) return;
      if (seq !== dropSeq) this.nats.publish(liveSubject(tenant, edgeId, turnId), JSON.stringify({ ...frame, seq }));
    }
  }

  publishEvent(subject: string, event: object): void {
    this.nats.publish(subject, JSON.stringify(event));
  }

  /** Who holds which credential. */
  credentials(known: Record<string, { kind: 'key' | 'user' | 'platform'; id: string; tenants: Membership[] }>): void {
    this.answer(identity.queries.authenticate, ({ input }) => {
      const holder = known[input.credential];
      if (!holder) return { ok: false, code: 'credential_unknown', message: 'unknown' };
      const tenants = holder.tenants.map((membership) => ({ suspended: false, ...membership }));
      return { ok: true, value: { principal: { kind: holder.kind, id: holder.id }, tenants, expiresAt: null } };
    });
  }

  async close(): Promise<void> {
    await this.nats.close();
  }
}

export interface Membership {
  tenant: string;
  role: 'owner' | 'admin' | 'member' | 'viewer';
  suspended?: boolean;
}

export const completed = (usage: Extract<LiveFrame, { type: 'end' }>['usage'] = USAGE): Frame => ({
  type: 'end',
  status: 'completed',
  finishReason: 'stop',
  failure: null,
  usage,
});

export const failed = (code: string, message: string, details?: Record<string, unknown>): Frame => ({
  type: 'end',
  status: 'failed',
  finishReason: null,
  failure: { code, message, ...(details && { details }) },
  usage: null,
});

export const say = (text: string): Frame => ({ type: 'text', text });

export const USAGE = {
  inputTokens: 10,
  cacheReadTokens: 4,
  cacheWriteTokens: 1,
  cacheWrite1hTokens: 0,
  outputTokens: 6,
  reasoningTokens: 2,
};
