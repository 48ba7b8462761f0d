import type {
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4Content,
  LanguageModelV4Usage,
  SharedV4ProviderMetadata,
} from '@ai-sdk/provider';
import type { Usage } from './engine.js';
import type { ProviderFailure } from './provider-failure.js';
import { broken, nonsense, providerFailure, reportedFailure } from './provider-failure.js';
import { usageOf } from './usage.js';

const outputCharactersMax = 4_000_000;
const toolCallsMax = 128;
const bytesPerToken = 4;

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

/** What has been seen of one model call so far; still true when the call fails. */
export interface ModelAnswer {
  text: string;
  reasoning: Reasoning[];
  toolCalls: RequestedTool[];
  finish: { unified: 'stop' | 'length' | 'tool-calls'; raw: string } | undefined;
  usage: Usage | undefined;
  /** An estimate from bytes, for calls whose usage never arrives. */
  outputTokensSeen: number;
  /** Whether anything has been put out, so that a retry would repeat it. */
  started: boolean;
}

export function emptyAnswer(): ModelAnswer {
  return {
    text: '',
    reasoning: [],
    toolCalls: [],
    finish: undefined,
    usage: undefined,
    outputTokensSeen: 0,
    started: false,
  };
}

/**
 * Makes one streaming model call and collects it into `answer`. Returns what went wrong, or undefined when the
 * answer is complete. `alive` is called on every sign of life.
 */
export async function callModel(
  model: LanguageModelV4,
  options: LanguageModelV4CallOptions,
  answer: ModelAnswer,
  onText: (text: string) => void,
  alive: () => void,
): Promise<ProviderFailure | undefined> {
  let bytes = 0;
  let characters = 0;
  const saw = (text: string) => {
    if (text === '') return;
    characters += text.length;
    bytes += Buffer.byteLength(text);
    answer.outputTokensSeen = Math.ceil(bytes / bytesPerToken);
    answer.started = true;
  };
  const reasoning = new Map<string, Reasoning>();
  let responding = false;
  try {
    const { stream } = await model.doStream(options);
    responding = true;
    for await (const part of stream) {
      // This part comes from the library, before the provider has said anything.
      if (part.type !== 'stream-start') alive();
      switch (part.type) {
        case 'text-delta':
          if (part.delta === '') break;
          saw(part.delta);
          answer.text += part.delta;
          onText(part.delta);
          break;
        case 'reasoning-start':
        case 'reasoning-delta':
        case 'reasoning-end': {
          const delta = part.type === 'reasoning-delta' ? part.delta : '';
          saw(delta);
          let block = reasoning.get(part.id);
          if (block === undefined) {
            block = { text: '', metadata: undefined };
            reasoning.set(part.id, block);
            answer.reasoning.push(block);
          }
          block.text += delta;
          // Anthropic's signature arrives on an empty delta, and the next request must carry it.
          block.metadata = merged(block.metadata, part.providerMetadata);
          break;
        }
        case 'tool-input-start':
          saw(part.toolName);
          break;
        case 'tool-input-delta':
          saw(part.delta);
          break;
        case 'tool-call':
          answer.toolCalls.push(requestedTool(part));
          break;
        case 'finish': {
          answer.usage = usageOf(part.usage as LanguageModelV4Usage);
          const { unified, raw } = part.finishReason;
          if (unified === 'error' || unified === 'interrupted' || raw === undefined) return broken();
          answer.finish = { unified: unified === 'length' || unified === 'tool-calls' ? unified : 'stop', raw };
          break;
        }
        case 'error':
          return isError(part.error) ? providerFailure(part.error, true) : reportedFailure();
        default:
          break;
      }
      if (characters > outputCharactersMax || answer.toolCalls.length > toolCallsMax) return nonsense();
    }
    return answer.finish ? undefined : broken();
  } catch (error) {
    return providerFailure(error, responding);
  }
}

function requestedTool(part: Extract<LanguageModelV4Content, { type: 'tool-call' }>): RequestedTool {
  return { id: part.toolCallId, name: part.toolName, argumentsJson: part.input, metadata: part.providerMetadata };
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
