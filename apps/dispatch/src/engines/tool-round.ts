import type { TurnHost, TurnInput } from './engine.js';
import { argumentsOf, type ToolResult } from './model.js';
import type { RequestedTool } from './model-answer.js';
import type { StopSignal } from './stop-signal.js';

export const TOOL_CALLS_PER_ROUND_MAX = 8;
export const TOOL_RESULT_CHARACTERS_MAX = 50_000;
const ARGUMENTS_CHARACTERS_MAX = 500_000;

/** Runs the tools that one answer asks for, one after another; what is wrong with a call is told to the model. */
export class ToolRound {
  constructor(
    private readonly turn: TurnInput,
    private readonly host: TurnHost,
    private readonly stop: StopSignal,
  ) {}

  /** @returns as many results as calls; fewer when the turn was stopped. */
  async run(calls: readonly RequestedTool[], round: number): Promise<ToolResult[]> {
    const results: ToolResult[] = [];
    for (const [index, call] of calls.entries()) {
      const { content, isError } = await this.#runTool(call, `${round}.${index + 1}`, index);
      if (this.stop.end) break;
      results.push({ id: call.id, name: call.name, content, isError });
    }
    return results;
  }

  async #runTool(call: RequestedTool, toolCallId: string, index: number): Promise<Outcome> {
    if (index >= TOOL_CALLS_PER_ROUND_MAX) {
      return failed(`Only ${TOOL_CALLS_PER_ROUND_MAX} tool calls run at a time; ask again for this one.`);
    }
    if (!this.turn.tools.some((tool) => tool.name === call.name)) return failed('There is no such tool.');
    if (call.argumentsJson.length > ARGUMENTS_CHARACTERS_MAX) return failed('The arguments are too long.');
    if (argumentsOf(call.argumentsJson) === undefined) return failed('The arguments are not a JSON object.');
    const { name, argumentsJson } = call;
    this.host.emit({ type: 'tool_call', toolCallId, name });
    const running = this.host.tool({ toolCallId, name, argumentsJson: argumentsJson.trim() || '{}' });
    const result = await Promise.race([
      running.catch(() => failed('The tool failed.')),
      this.stop.stopped.then(() => failed('The turn was stopped.')),
    ]);
    this.host.emit({ type: 'tool_result', toolCallId, name, isError: result.isError });
    return { content: cut(result.content), isError: result.isError };
  }
}

interface Outcome {
  content: string;
  isError: boolean;
}

function cut(content: string): string {
  if (content.length <= TOOL_RESULT_CHARACTERS_MAX) return content;
  const marker = `\n[cut: ${content.length} characters, of which these are the first]`;
  return content.slice(0, TOOL_RESULT_CHARACTERS_MAX - marker.length) + marker;
}

function failed(content: string): Outcome {
  return { content, isError: true };
}
