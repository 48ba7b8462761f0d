import type { SharedV4ProviderMetadata } from '@ai-sdk/provider';
import type { RateLimitReport } from '../domain/adaptive-limit.js';
import type { Usage } from './engine.js';

const OUTPUT_CHARACTERS_MAX = 4_000_000;
const TOOL_CALLS_MAX = 128;
const BYTES_PER_TOKEN = 4;
/** Output is reported after so many tokens more, or so much later, whichever is first. */
const PROGRESS_TOKENS = 64;
const PROGRESS_MS = 250;

export interface RequestedTool {
  /** The provider's id, which the next request must repeat. */
  id: string;
  name: string;
  argumentsJson: string;
  metadata: SharedV4ProviderMetadata | undefined;
}

export interface Reasoning {
  text: string;
  metadata: SharedV4ProviderMetadata | undefined;
}

/** Who hears of an answer while it streams. */
export interface AnswerListener {
  text(piece: string): void;
  /** A sign of life, at each event of the stream. */
  alive(): void;
  progress(outputTokensSeen: number): void;
}

/** What has been seen of one model call so far; still true when the call fails. */
export class ModelAnswer {
  text = '';
  readonly reasoning: Reasoning[] = [];
  readonly toolCalls: RequestedTool[] = [];
  finish: { unified: 'stop' | 'length' | 'tool-calls'; raw: string } | undefined;
  usage: Usage | undefined;
  /** What the provider said about its limits; undefined when it did not answer at all. */
  rateLimits: RateLimitReport | undefined;
  /** An estimate from bytes, for calls whose usage never arrives. */
  outputTokensSeen = 0;
  #bytes = 0;
  #characters = 0;
  #reportedTokens = 0;
  #reportedAtMs = performance.now();

  constructor(private readonly listener: AnswerListener) {}

  /** Whether anything has been put out, so that a retry would repeat it. */
  get started(): boolean {
    return this.#characters > 0;
  }

  /** Longer than any answer that makes sense. */
  get isTooLong(): boolean {
    return this.#characters > OUTPUT_CHARACTERS_MAX || this.toolCalls.length > TOOL_CALLS_MAX;
  }

  alive(): void {
    this.listener.alive();
  }

  say(piece: string): void {
    if (piece === '') return;
    this.saw(piece);
    this.text += piece;
    this.listener.text(piece);
  }

  /** Counts output that is not text for the reader: reasoning, a tool's name and arguments. */
  saw(piece: string): void {
    if (piece === '') return;
    this.#characters += piece.length;
    this.#bytes += Buffer.byteLength(piece);
    this.outputTokensSeen = Math.ceil(this.#bytes / BYTES_PER_TOKEN);
    const nowMs = performance.now();
    const isDue = this.outputTokensSeen >= this.#reportedTokens + PROGRESS_TOKENS;
    if (!isDue && nowMs < this.#reportedAtMs + PROGRESS_MS) return;
    this.#reportedTokens = this.outputTokensSeen;
    this.#reportedAtMs = nowMs;
    this.listener.progress(this.outputTokensSeen);
  }
}
