import type { SystemPrompt, ToolSpec } from '../engine.js';
import { argumentsOf, type ModelMessage, type ModelRequest } from '../model.js';
import type { RequestedTool } from '../model-answer.js';

/**
 * A model call as the chat completions API takes it. One system message, since some servers' chat templates know no second.
 * @param outputLimit what the server calls the limit: OpenAI's own reasoning models refuse `max_tokens`, and servers that copy
 * its format often know nothing else.
 */
export function chatRequest(
  model: string,
  request: ModelRequest,
  outputLimit: 'max_tokens' | 'max_completion_tokens',
): object {
  return {
    model,
    messages: [...systemMessage(request.system), ...request.messages.flatMap(spelt)],
    ...(request.tools.length > 0 && { tools: request.tools.map(functionTool) }),
    stream: true,
    stream_options: { include_usage: true },
    [outputLimit]: request.outputTokensMax,
  };
}

function systemMessage({ stable, dynamic }: SystemPrompt): object[] {
  const content = [stable, dynamic].filter((part) => part.trim() !== '').join('\n\n');
  return content === '' ? [] : [{ role: 'system', content }];
}

function spelt(message: ModelMessage): object[] {
  switch (message.role) {
    case 'user':
      return [{ role: 'user', content: message.text }];
    case 'assistant':
      return [assistantMessage(message)];
    case 'tool':
      return message.results.map(({ id, content }) => ({ role: 'tool', tool_call_id: id, content }));
  }
}

function assistantMessage({ text, reasoning, toolCalls }: Extract<ModelMessage, { role: 'assistant' }>): object {
  const said = text.trim() === '' ? '' : text;
  const thought = reasoning.map((each) => each.text).join('');
  return {
    role: 'assistant',
    content: said === '' && toolCalls.length > 0 ? null : said,
    ...(thought !== '' && { reasoning_content: thought }),
    ...(toolCalls.length > 0 && { tool_calls: toolCalls.map(toolCall) }),
  };
}

function toolCall({ id, name, argumentsJson, metadata }: RequestedTool): object {
  const signature = metadata?.['google']?.['thoughtSignature'];
  return {
    id,
    type: 'function',
    function: { name, arguments: JSON.stringify(argumentsOf(argumentsJson) ?? {}) },
    ...(signature !== undefined && { extra_content: { google: { thought_signature: signature } } }),
  };
}

function functionTool({ name, description, inputSchema }: ToolSpec): object {
  return { type: 'function', function: { name, description, parameters: inputSchema } };
}
