import type { SystemPrompt, ToolSpec } from './engine.js';
import type { ModelAnswer, Reasoning, RequestedTool } from './model-answer.js';
import type { ProviderFailure } from './provider-failure.js';

/** One message of a turn's conversation with its model; each provider spells it in its own way. */
export type ModelMessage =
  | { role: 'user'; text: string }
  | { role: 'assistant'; text: string; reasoning: readonly Reasoning[]; toolCalls: readonly RequestedTool[] }
  | { role: 'tool'; results: readonly ToolResult[] };

export interface ToolResult {
  /** The id that the provider gave to the call. */
  id: string;
  name: string;
  content: string;
  isError: boolean;
}

export interface ModelRequest {
  system: SystemPrompt;
  messages: readonly ModelMessage[];
  tools: readonly ToolSpec[];
  outputTokensMax: number;
}

export interface Model {
  readonly modelId: string;
  /**
   * Makes one streaming call and collects it into `answer`; what was collected is true also of a call that fails. Holds no
   * connection when it resolves.
   * @param signal ends the call; the failure it is reported as says nothing then.
   * @returns what went wrong, undefined when the answer is complete.
   */
  call(request: ModelRequest, answer: ModelAnswer, signal: AbortSignal): Promise<ProviderFailure | undefined>;
}

/** A tool call's arguments as an object; a tool without arguments may be called with an empty text. */
export function argumentsOf(json: string): object | undefined {
  if (json.trim() === '') return {};
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
