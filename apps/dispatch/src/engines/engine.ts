import type { Usage } from '@reef/contracts';
import type { RateLimitReport } from '../domain/adaptive-limit.js';

export type { RateLimitReport, Usage };

/** One message of a conversation, as a session remembers it. */
export interface ChatMessage {
  role: 'user' | 'assistant';
  content: string;
}

/** A tool as the model sees it. */
export interface ToolSpec {
  name: string;
  description: string;
  /** JSON Schema of the arguments: an object. */
  inputSchema: {
    type: 'object';
    properties: Record<string, object>;
    required?: string[];
    additionalProperties?: false;
  };
}

/** The system prompt in two parts: providers cache what comes before the boundary, so `stable` must not vary from turn to turn. */
export interface SystemPrompt {
  stable: string;
  dynamic: string;
}

export interface Reservation {
  callId: string;
  model: string;
  inputTokensMax: number;
  outputTokensMax: number;
}

export type ReservationAnswer =
  { ok: true; outputTokensMax: number } | { ok: false; code: string; message: string; details?: unknown };

export interface Settlement {
  callId: string;
  outcome: 'completed' | 'failed' | 'cancelled';
  /** What the provider reported. Undefined when it reported nothing (never 0); `NOTHING_USED` when it certainly did no work. */
  usage?: Usage | undefined;
  /** What was seen streaming, for an estimate where usage is missing. */
  outputTokensSeen: number;
  /** The provider's own word. */
  finishReason?: string | undefined;
  /** What the provider said about its limits; absent when it did not answer. */
  rateLimits?: RateLimitReport | undefined;
}

/** The usage of a call that was never made, or that the provider turned away at its door. */
export const NOTHING_USED: Usage = Object.freeze({
  inputTokens: 0,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  cacheWrite1hTokens: 0,
  outputTokens: 0,
  reasoningTokens: 0,
});

export interface TurnInput {
  tenant: string;
  turnId: string;
  agent: string;
  /** `provider/model`. */
  model: string;
  system: SystemPrompt;
  history: readonly ChatMessage[];
  message: string;
  tools: readonly ToolSpec[];
  /** The limit of each model call of the turn. */
  outputTokensMax: number;
  modelCallsMax: number;
  /** Aborted when the turn is cancelled. */
  signal: AbortSignal;
  /** Absolute, in ms since 1970. */
  deadlineMs: number;
  /**
   * The first call's reservation, when the caller already asked for it (with `boundInputTokens` of this very input). The engine
   * settles it like its own.
   */
  firstReservation?: { callId: string; answer: Promise<ReservationAnswer> };
}

/** What an engine may ask of dispatch. */
export interface TurnHost {
  /** Before every model call, attempts included. */
  reserve(call: Reservation): Promise<ReservationAnswer>;
  /** Exactly once for every reservation that was granted. */
  settle(call: Settlement): Promise<void>;
  /**
   * While a call streams: how much of its output has been seen, all together. After every 64 tokens or 250 ms at most, and only
   * when there is more; for what the call has cost should this process die.
   */
  progress?(callId: string, outputTokensSeen: number): void;
  /** Runs a tool. `toolCallId` is the engine's own, unique within the turn, whatever ids the provider gives. */
  tool(call: {
    toolCallId: string;
    name: string;
    argumentsJson: string;
  }): Promise<{ content: string; isError: boolean }>;
  emit(event: TurnOutput): void;
}

export type TurnOutput =
  | { type: 'text'; text: string }
  | { type: 'tool_call'; toolCallId: string; name: string }
  | { type: 'tool_result'; toolCallId: string; name: string; isError: boolean };

export type TurnOutcome =
  | {
      status: 'completed';
      /** All text that was emitted. */
      text: string;
      finishReason: 'stop' | 'length';
      /** What the session should remember. */
      messages: ChatMessage[];
      /** Of all model calls together; undefined when the provider left any of it unsaid. */
      usage: Usage | undefined;
    }
  | { status: 'failed'; code: string; message: string; details?: unknown; text: string; usage: Usage | undefined }
  | { status: 'cancelled'; text: string; usage: Usage | undefined };

/** Runs turns; the one interface that dispatch knows. Never rejects for what a provider, a tool or a client does. */
export interface Engine {
  run(turn: TurnInput, host: TurnHost): Promise<TurnOutcome>;
}
