import { createAnthropic } from '@ai-sdk/anthropic';
import {
  APICallError,
  type LanguageModelV4,
  type LanguageModelV4StreamPart,
  type SharedV4ProviderMetadata,
} from '@ai-sdk/provider';
import type { Model, ModelRequest } from '../model.js';
import type { ModelAnswer, Reasoning } from '../model-answer.js';
import { broken, nonsense, type ProviderFailure, providerFailure, reportedFailure } from '../provider-failure.js';
import { rateLimitsOf } from '../rate-limits.js';
import { anthropicUsage } from '../usage.js';
import { functionTool, promptOf } from './prompt.js';

/** Anthropic's models, over the AI SDK. @param server `baseUrl` ends with the version. */
export function anthropicModels(server: { baseUrl: string; apiKey: string | undefined }): (modelId: string) => Model {
  const anthropic = createAnthropic({
    baseURL: server.baseUrl,
    apiKey: server.apiKey ?? '',
    fetch: fetchWithoutRedirect,
  });
  return (modelId) => {
    const model = anthropic(modelId);
    return { modelId, call: (request, answer, signal) => callModel(model, request, answer, signal) };
  };
}

/** A redirect could carry the key to another host. */
const fetchWithoutRedirect: typeof fetch = (input, init) => fetch(input, { ...init, redirect: 'error' });

async function callModel(
  model: LanguageModelV4,
  request: ModelRequest,
  answer: ModelAnswer,
  signal: AbortSignal,
): Promise<ProviderFailure | undefined> {
  const connection = new AbortController();
  const abort = () => connection.abort();
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  let responding = false;
  try {
    const { stream, response } = await model.doStream({
      prompt: promptOf(request.system, request.messages),
      maxOutputTokens: request.outputTokensMax,
      abortSignal: connection.signal,
      ...(request.tools.length > 0 ? { tools: request.tools.map(functionTool) } : {}),
    });
    responding = true;
    answer.rateLimits = rateLimitsOf(response?.headers ?? {}, 200, Date.now());
    const collector = new PartCollector(answer);
    for await (const part of stream) {
      // This part comes from the library, before the provider has said anything.
      if (part.type !== 'stream-start') answer.alive();
      const failure = collector.take(part) ?? (answer.isTooLong ? nonsense() : undefined);
      if (failure) return failure;
    }
    return answer.finish ? undefined : broken();
  } catch (error) {
    if (APICallError.isInstance(error) && error.statusCode !== undefined) {
      answer.rateLimits = rateLimitsOf(error.responseHeaders ?? {}, error.statusCode, Date.now());
    }
    return providerFailure(error, responding);
  } finally {
    signal.removeEventListener('abort', abort);
    abort(); // Frees the connection of an answer that was not read to its end.
  }
}

class PartCollector {
  readonly #reasoning = new Map<string, Reasoning>();

  constructor(private readonly answer: ModelAnswer) {}

  /** @returns why the call is over. */
  take(part: LanguageModelV4StreamPart): ProviderFailure | undefined {
    const { answer } = this;
    switch (part.type) {
      case 'text-delta':
        answer.say(part.delta);
        return undefined;
      case 'reasoning-start':
      case 'reasoning-delta':
      case 'reasoning-end':
        this.#reason(part.id, part.type === 'reasoning-delta' ? part.delta : '', part.providerMetadata);
        return undefined;
      case 'tool-input-start':
        answer.saw(part.toolName);
        return undefined;
      case 'tool-input-delta':
        answer.saw(part.delta);
        return undefined;
      case 'tool-call': {
        const { toolCallId, toolName, input, providerMetadata } = part;
        answer.toolCalls.push({ id: toolCallId, name: toolName, argumentsJson: input, metadata: providerMetadata });
        return undefined;
      }
      case 'finish':
        return this.#finish(part);
      case 'error':
        return isError(part.error) ? providerFailure(part.error, true) : reportedFailure();
      default:
        return undefined;
    }
  }

  #reason(id: string, delta: string, metadata: SharedV4ProviderMetadata | undefined): void {
    this.answer.saw(delta);
    let block = this.#reasoning.get(id);
    if (block === undefined) {
      block = { text: '', metadata: undefined };
      this.#reasoning.set(id, block);
      this.answer.reasoning.push(block);
    }
    block.text += delta;
    // The signature arrives on an empty delta, and the next request must carry it.
    block.metadata = merged(block.metadata, metadata);
  }

  #finish({
    usage,
    finishReason: { unified, raw },
  }: Extract<LanguageModelV4StreamPart, { type: 'finish' }>): ProviderFailure | undefined {
    // The AI SDK turns a missing number into 0, so what was really there is read from `raw`.
    if (usage.raw) this.answer.usage = anthropicUsage(usage.raw);
    if (unified === 'error' || unified === 'interrupted' || raw === undefined) return broken();
    this.answer.finish = { unified: unified === 'length' || unified === 'tool-calls' ? unified : 'stop', raw };
    return undefined;
  }
}

function merged(
  before: SharedV4ProviderMetadata | undefined,
  more: SharedV4ProviderMetadata | undefined,
): SharedV4ProviderMetadata | undefined {
  if (before === undefined || more === undefined) return more ?? before;
  const both = { ...before };
  for (const [provider, fields] of Object.entries(more)) both[provider] = { ...both[provider], ...fields };
  return both;
}

function isError(value: unknown): value is Error {
  return value instanceof Error || (typeof value === 'object' && value !== null && 'stack' in value);
}
