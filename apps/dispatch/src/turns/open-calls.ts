import { type BeforeApplicationShutdown, Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { budgets, PLATFORM } from '@reef/contracts';
import { ContextSigner, Requests } from '@reef/messaging';
import { InjectLogger } from '@reef/service';
import type { Logger } from 'pino';
import { WORKER } from '../tokens.js';

/** What calls have put out is told to budgets this often, ms, or as soon as one of them is so many tokens further. */
const PROGRESS_EVERY_MS = 250;
const PROGRESS_EVERY_TOKENS = 64;
/** Messages under way at once: one to a budgets that has just died must not hold up the news that follows it. */
const TELLING_MAX = 4;
/** That this process lives is told at least this often, ms; after nine seconds of silence its calls are charged as they stand. */
const HEARTBEAT_MS = 3_000;
const CALLS_PER_MESSAGE_MAX = 2_000;
/** What a budgets that just died was told is told to another one this soon, ms: until then this process's death would cost what was not heard. */
const TIMEOUT_MS = 500;

interface OpenCall {
  readonly tenant: string;
  outputTokensSeen: number;
  outputTokensTold: number;
}

/** The model calls of this process that hold money, and how far they are: should the process die, they are charged by that. */
@Injectable()
export class OpenCalls implements OnModuleInit, BeforeApplicationShutdown {
  readonly #open = new Map<string, OpenCall>();
  readonly #changed = new Set<string>();
  #timer: NodeJS.Timeout | null = null;
  #toldAtMs = -Infinity;
  #telling = 0;

  constructor(
    private readonly requests: Requests,
    private readonly signer: ContextSigner,
    @Inject(WORKER) readonly worker: string,
    @InjectLogger() private readonly logger: Logger,
  ) {}

  onModuleInit(): void {
    this.#timer = setInterval(() => void this.#tell(), PROGRESS_EVERY_MS).unref();
  }

  beforeApplicationShutdown(): void {
    if (this.#timer) clearInterval(this.#timer);
  }

  opened(tenant: string, reservationId: string): void {
    this.#open.set(reservationId, { tenant, outputTokensSeen: 0, outputTokensTold: 0 });
  }

  progressed(reservationId: string, outputTokensSeen: number): void {
    const call = this.#open.get(reservationId);
    if (!call || outputTokensSeen <= call.outputTokensSeen) return;
    call.outputTokensSeen = outputTokensSeen;
    this.#changed.add(reservationId);
    if (outputTokensSeen - call.outputTokensTold >= PROGRESS_EVERY_TOKENS) void this.#tell();
  }

  closed(reservationId: string): void {
    this.#open.delete(reservationId);
    this.#changed.delete(reservationId);
  }

  async #tell(): Promise<void> {
    const isDue = this.#telling === 0 && performance.now() - this.#toldAtMs >= HEARTBEAT_MS;
    if (this.#telling >= TELLING_MAX || (this.#changed.size === 0 && !isDue)) return;
    this.#telling++;
    const told = [...this.#changed].slice(0, CALLS_PER_MESSAGE_MAX);
    const calls = told.flatMap((reservationId) => {
      this.#changed.delete(reservationId);
      const call = this.#open.get(reservationId);
      if (!call) return [];
      call.outputTokensTold = call.outputTokensSeen;
      return [{ reservationId, tenant: call.tenant, outputTokensSeen: call.outputTokensSeen }];
    });
    const token = this.signer.sign({ tenant: PLATFORM, principal: { kind: 'service', id: 'dispatch' }, role: 'none' });
    try {
      const answer = await this.requests.send(
        budgets.commands.extend,
        { tenant: PLATFORM, token },
        { worker: this.worker, calls },
        { timeoutMs: TIMEOUT_MS },
      );
      if (answer.ok) this.#toldAtMs = performance.now();
      else {
        this.#tellAgain(told);
        this.logger.warn({ code: answer.code }, 'budgets did not hear that this process lives');
      }
    } catch (error) {
      this.#tellAgain(told);
      this.logger.warn({ err: error }, 'budgets did not hear that this process lives');
    } finally {
      this.#telling--;
    }
  }

  #tellAgain(told: readonly string[]): void {
    for (const reservationId of told) if (this.#open.has(reservationId)) this.#changed.add(reservationId);
  }
}
