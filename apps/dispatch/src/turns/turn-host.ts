import { budgets, dispatch, type InputOf, memory, type OutputOf, workspace } from '@reef/contracts';
import { crashAt, type OnBehalfOf, type Requests } from '@reef/messaging';
import { likelyInputTokens } from '../engines/bound.js';
import {
  NOTHING_USED,
  type Reservation,
  type ReservationAnswer,
  type Settlement,
  type TurnHost,
  type TurnOutput,
} from '../engines/engine.js';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LiveStream } from './live-stream.js';
import type { OpenCalls } from './open-calls.js';

type Attribution = InputOf<typeof budgets.commands.reserve>['attribution'];
type Granted = OutputOf<typeof budgets.commands.reserve>;
type ModelCalled = OutputOf<{ output: (typeof dispatch.events.ModelCalled)['data'] }>;
type ToolCalled = OutputOf<{ output: (typeof dispatch.events.ToolCalled)['data'] }>;

/** A reservation lasts as long as a model call may; then budgets charges it by estimate, ms. */
const RESERVATION_MS = 200_000;
/** A settlement is sent again until budgets has it or the reservation has expired there. */
const SETTLE_TIMEOUT_MS = RESERVATION_MS;
const MEMORIES_SHOWN_MAX = 10;
/** A turn's first call waits so long at most where budgets says that it may pass in a moment, ms. */
const FIRST_CALL_WAITS_MS = 2_000;

interface OpenCall {
  readonly window: string;
  readonly calledAt: string;
  readonly startedMs: number;
  readonly model: string;
}

/** What one turn's engine may ask for, in the name of the turn's tenant; remembers what was asked, for the session's log. */
export class NativeTurnHost implements TurnHost {
  readonly calls: ModelCalled[] = [];
  readonly tools: ToolCalled[] = [];
  readonly #open = new Map<string, OpenCall>();
  #settling: Promise<unknown>[] = [];
  #reservations = 0;

  constructor(
    private readonly requests: Requests,
    private readonly onBehalfOf: () => OnBehalfOf,
    private readonly attribution: Attribution,
    private readonly live: LiveStream,
    private readonly openCalls: OpenCalls,
    private readonly stopped: { readonly signal: AbortSignal; readonly deadlineMs: number },
    private readonly onGranted: (granted: Granted) => void,
  ) {}

  async reserve(call: Reservation): Promise<ReservationAnswer> {
    // What the turn's earlier calls did not use is free again only when they are settled.
    await this.settled();
    const isFirst = this.#reservations++ === 0;
    // A turn that has cost something is worth a wait; one that has not is told to come back.
    const waitsUntilMs = isFirst ? Date.now() + FIRST_CALL_WAITS_MS : this.stopped.deadlineMs;
    for (;;) {
      crashAt('dispatch', 'before-reserve');
      const answer = await this.requests.send(budgets.commands.reserve, this.onBehalfOf(), {
        reservationId: call.callId,
        attribution: { ...this.attribution, model: call.model },
        inputTokensMax: call.inputTokensMax,
        inputTokensLikely: likelyInputTokens(call.inputTokensMax),
        outputTokensMax: call.outputTokensMax,
        firstOfTurn: isFirst,
        worker: this.openCalls.worker,
        expiresAt: new Date(Date.now() + RESERVATION_MS).toISOString(),
      });
      crashAt('dispatch', 'after-reserve');
      if (answer.ok) return this.#granted(call, answer.value, isFirst);
      const { code, message, details } = answer;
      const waitMs = code === 'paced' || code === 'rate_limited' ? Number(details?.['retryAfterMs']) : NaN;
      if (!(Date.now() + waitMs <= waitsUntilMs)) return { ok: false, code, message, details };
      await sleep(waitMs, undefined, { signal: this.stopped.signal, ref: false }).catch(() => undefined);
      if (this.stopped.signal.aborted) return { ok: false, code, message, details };
    }
  }

  #granted(call: Reservation, granted: Granted, isFirst: boolean): ReservationAnswer {
    this.#open.set(call.callId, {
      window: granted.window,
      calledAt: new Date().toISOString(),
      startedMs: performance.now(),
      model: call.model,
    });
    this.openCalls.opened(this.onBehalfOf().tenant, call.callId);
    if (isFirst) this.live.admitted(granted);
    this.onGranted(granted);
    return { ok: true, outputTokensMax: granted.outputTokensMax };
  }

  progress(callId: string, outputTokensSeen: number): void {
    this.openCalls.progressed(callId, outputTokensSeen);
  }

  /** Sends the settlement and does not wait: the turn's end waits for all of them together. */
  settle(call: Settlement): Promise<void> {
    const open = this.#open.get(call.callId);
    if (!open) return Promise.resolve();
    crashAt('dispatch', 'before-settle');
    this.#open.delete(call.callId);
    this.openCalls.closed(call.callId);
    this.#settling.push(
      call.usage === NOTHING_USED
        ? this.#release(call.callId, open.window)
        : this.requests.send(
            budgets.commands.settle,
            this.onBehalfOf(),
            {
              reservationId: call.callId,
              window: open.window,
              outcome: call.outcome,
              usage: call.usage ?? null,
              outputTokensSeen: call.outputTokensSeen,
            },
            settling(call.callId),
          ),
    );
    this.calls.push({
      turnId: this.attribution.turnId,
      callId: call.callId,
      model: open.model,
      outcome: call.outcome,
      usage: call.usage ?? null,
      finishReason: call.finishReason === undefined ? null : nameOf(call.finishReason),
      calledAt: open.calledAt,
      durationMs: Math.round(performance.now() - open.startedMs),
    });
    return Promise.resolve();
  }

  /** Frees the turn's first reservation before any call was made: as if nothing had been asked. */
  async giveBack(callId: string): Promise<void> {
    const open = this.#open.get(callId);
    if (!open) return;
    this.#open.delete(callId);
    this.openCalls.closed(callId);
    this.#reservations = 0;
    this.#settling.push(this.#release(callId, open.window));
    await this.settled();
  }

  /** Every settlement that was sent has been answered. */
  async settled(): Promise<void> {
    const settling = this.#settling;
    this.#settling = [];
    await Promise.all(settling);
    if (settling.length > 0) crashAt('dispatch', 'after-settle');
  }

  async tool(call: {
    toolCallId: string;
    name: string;
    argumentsJson: string;
  }): Promise<{ content: string; isError: boolean }> {
    const calledAt = new Date().toISOString();
    const startedMs = performance.now();
    const result = await this.#run(call);
    this.tools.push({
      turnId: this.attribution.turnId,
      toolCallId: call.toolCallId,
      name: nameOf(call.name),
      failed: result.isError,
      calledAt,
      durationMs: Math.round(performance.now() - startedMs),
    });
    return result;
  }

  emit(event: TurnOutput): void {
    switch (event.type) {
      case 'text':
        return this.live.text(event.text);
      case 'tool_call':
        return this.live.tool(event.name, 'called');
      case 'tool_result':
        return this.live.tool(event.name, event.isError ? 'failed' : 'done');
    }
  }

  #release(reservationId: string, window: string): Promise<unknown> {
    const freed = { reservationId, window };
    return this.requests.send(budgets.commands.release, this.onBehalfOf(), freed, settling(reservationId));
  }

  async #run({ toolCallId, name, argumentsJson }: { toolCallId: string; name: string; argumentsJson: string }) {
    switch (name) {
      case 'remember':
        return this.#remember(toolCallId, argumentsJson);
      case 'memory_search':
        return this.#searchMemory(argumentsJson);
      default: {
        const { agent, user, turnId } = this.attribution;
        const answer = await this.requests.send(
          workspace.commands.runTool,
          this.onBehalfOf(),
          { agent, user, turnId, toolCallId, name: nameOf(name), argumentsJson },
          { commandId: `tool:${turnId}:${toolCallId}` },
        );
        return answer.ok ? answer.value : failed(answer.message);
      }
    }
  }

  async #remember(toolCallId: string, argumentsJson: string) {
    const text = textArgument(argumentsJson, 'text');
    if (text === null) return failed('remember needs {"text": "…"} of 4,000 characters at most');
    const { agent, user, turnId } = this.attribution;
    const answer = await this.requests.send(
      memory.commands.remember,
      this.onBehalfOf(),
      { agent, user, text, turnId },
      { commandId: `tool:${turnId}:${toolCallId}` },
    );
    return answer.ok ? { content: 'Remembered.', isError: false } : failed(answer.message);
  }

  async #searchMemory(argumentsJson: string) {
    const text = textArgument(argumentsJson, 'query');
    if (text === null) return failed('memory_search needs {"query": "…"}');
    const { agent, user } = this.attribution;
    const answer = await this.requests.send(memory.queries.recall, this.onBehalfOf(), {
      agent,
      user,
      text,
      limit: MEMORIES_SHOWN_MAX,
    });
    if (!answer.ok) return failed(answer.message);
    const found = answer.value.items.map((item) => `- ${item.text}`).join('\n');
    return { content: found || 'Nothing is remembered about this.', isError: false };
  }
}

/** A name as a model or a provider gives it is untrusted text; only a plain one is written down. */
const nameOf = (name: string) => (/^[\w.:-]{1,64}$/.test(name) ? name : 'unreadable');

const settling = (callId: string) => ({ commandId: `settle:${callId}`, timeoutMs: SETTLE_TIMEOUT_MS });
const failed = (content: string) => ({ content, isError: true });

/** A model's arguments are untrusted text: whatever they are, the tool answers and nothing throws. */
function textArgument(argumentsJson: string, field: string): string | null {
  try {
    const value: unknown = (JSON.parse(argumentsJson) as Record<string, unknown>)[field];
    return typeof value === 'string' && value.trim().length > 0 && value.length <= 4_000 ? value : null;
  } catch {
    return null;
  }
}
