import type { LanguageModelV4FunctionTool, LanguageModelV4Message, LanguageModelV4Prompt } from '@ai-sdk/provider';
import type { SystemPrompt, ToolSpec } from '../engine.js';
import { argumentsOf, type ModelMessage } from '../model.js';
import type { RequestedTool } from '../model-answer.js';

/** Anthropic caches up to a marked block, so the system prompt is two messages. */
export function promptOf(system: SystemPrompt, messages: readonly ModelMessage[]): LanguageModelV4Prompt {
  const { stable, dynamic } = system;
  const cached = { anthropic: { cacheControl: { type: 'ephemeral' } } };
  return [
    ...(stable.trim() === '' ? [] : [{ role: 'system' as const, content: stable, providerOptions: cached }]),
    ...(dynamic.trim() === '' ? [] : [{ role: 'system' as const, content: dynamic }]),
    ...messages.map(spelt),
  ];
}

export function functionTool({ name, description, inputSchema }: ToolSpec): LanguageModelV4FunctionTool {
  return { type: 'function', name, description, inputSchema: inputSchema as object };
}

function spelt(message: ModelMessage): LanguageModelV4Message {
  switch (message.role) {
    case 'user':
      return { role: 'user', content: [{ type: 'text', text: message.text }] };
    case 'assistant':
      return assistantMessage(message);
    case 'tool':
      return {
        role: 'tool',
        content: message.results.map(({ id, name, content, isError }) => ({
          type: 'tool-result',
          toolCallId: id,
          toolName: name,
          output: { type: isError ? 'error-text' : 'text', value: content },
        })),
      };
  }
}

function assistantMessage({
  text,
  reasoning,
  toolCalls,
}: Extract<ModelMessage, { role: 'assistant' }>): LanguageModelV4Message {
  const options = (metadata: RequestedTool['metadata']) => (metadata ? { providerOptions: metadata } : {});
  return {
    role: 'assistant',
    content: [
      ...reasoning.map((each) => ({ type: 'reasoning' as const, text: each.text, ...options(each.metadata) })),
      ...(text.trim() === '' ? [] : [{ type: 'text' as const, text }]),
      ...toolCalls.map((call) => ({
        type: 'tool-call' as const,
        toolCallId: call.id,
        toolName: call.name,
        input: argumentsOf(call.argumentsJson) ?? {},
        ...options(call.metadata),
      })),
    ],
  };
}
