import { randomBytes } from 'node:crypto';
import type { CompletionRequest } from './request.js';
import type { Step, ToolCallStep } from './script.js';
import { cutToTokens, fillerOf, fillerTokensMax, promptTokens, tokensOfBytes } from './tokens.js';

/** What the model says in one answer, cut to the tokens that the request allows. */
export interface Completion {
  id: string;
  createdSeconds: number;
  model: string;
  text: string;
  toolCalls: { id: string; name: string; argumentsJson: string }[];
  finishReason: 'stop' | 'length' | 'tool_calls';
  promptTokens: number;
  completionTokens: number;
}

export function completionOf(request: CompletionRequest, step: Step, createdSeconds: number): Completion {
  const tokensMax = Math.min(request.max_completion_tokens ?? request.max_tokens ?? fillerTokensMax, fillerTokensMax);
  const whole = (step.text ?? '') + (step.tokens ? fillerOf(step.tokens) : '');
  const text = cutToTokens(whole, tokensMax);
  let completionTokens = tokensOfBytes(Buffer.byteLength(text));
  let complete = text.length === whole.length;

  const toolCalls: Completion['toolCalls'] = [];
  const wanted: ToolCallStep[] = [...(step.toolCall ? [step.toolCall] : []), ...(step.toolCalls ?? [])];
  for (const call of wanted) {
    const json = typeof call.arguments === 'string' ? call.arguments : JSON.stringify(call.arguments);
    const nameTokens = tokensOfBytes(Buffer.byteLength(call.name));
    const tokensLeft = tokensMax - completionTokens - nameTokens;
    if (!complete || tokensLeft <= 0) {
      complete = false;
      break;
    }
    // Like the real thing, a limit in the middle of a tool call leaves arguments that are not JSON.
    const argumentsJson = cutToTokens(json, tokensLeft);
    complete = argumentsJson.length === json.length;
    completionTokens += nameTokens + tokensOfBytes(Buffer.byteLength(argumentsJson));
    toolCalls.push({ id: identifier('call_'), name: call.name, argumentsJson });
  }
  return {
    id: identifier('chatcmpl-'),
    createdSeconds,
    model: request.model,
    text,
    toolCalls,
    finishReason: !complete ? 'length' : toolCalls.length > 0 ? 'tool_calls' : 'stop',
    promptTokens: promptTokens(request),
    completionTokens,
  };
}

export function usageOf(completion: Completion): Record<string, unknown> {
  return {
    prompt_tokens: completion.promptTokens,
    completion_tokens: completion.completionTokens,
    total_tokens: completion.promptTokens + completion.completionTokens,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: 0,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}

/** The answer to a request without `stream`. */
export function wholeAnswer(completion: Completion, usage: Record<string, unknown> | undefined): string {
  const toolCalls = completion.toolCalls.map((call) => ({
    id: call.id,
    type: 'function',
    function: { name: call.name, arguments: call.argumentsJson },
  }));
  return JSON.stringify({
    id: completion.id,
    object: 'chat.completion',
    created: completion.createdSeconds,
    model: completion.model,
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: completion.text === '' && toolCalls.length > 0 ? null : completion.text,
          refusal: null,
          ...(toolCalls.length > 0 ? { tool_calls: toolCalls } : {}),
        },
        logprobs: null,
        finish_reason: completion.finishReason,
      },
    ],
    ...(usage ? { usage } : {}),
    service_tier: 'default',
    system_fingerprint: 'simulation',
  });
}

/** A server-sent event that is ready to be written, and the tokens it carries. */
export interface Chunk {
  data: string;
  tokens: number;
}

export interface StreamChunks {
  opening: string;
  content: Chunk[];
  closing: string;
}

/** The events of a streamed answer. Everything but the deltas is made once, since a chunk's frame costs more than its text. */
export function streamChunks(
  completion: Completion,
  usage: Record<string, unknown> | undefined,
  includeUsage: boolean,
): StreamChunks {
  const head = `data: {"id":"${completion.id}","object":"chat.completion.chunk","created":${completion.createdSeconds},"model":${JSON.stringify(completion.model)},"service_tier":"default","system_fingerprint":"simulation","choices":`;
  const usageNull = includeUsage ? ',"usage":null' : '';
  const frame = (delta: string, finish: string) =>
    `${head}[{"index":0,"delta":${delta},"logprobs":null,"finish_reason":${finish}}]${usageNull}}\n\n`;
  const [before = '', after = ''] = frame('\0', 'null').split('\0');

  const role = `${before}{"role":"assistant","content":${completion.text === '' && completion.toolCalls.length > 0 ? 'null' : '""'},"refusal":null}${after}`;
  const content: Chunk[] = [];
  let bytes = 0;
  for (const piece of piecesOf(completion.text)) {
    const already = tokensOfBytes(bytes);
    bytes += Buffer.byteLength(piece);
    content.push({
      data: `${before}{"content":${JSON.stringify(piece)}}${after}`,
      tokens: tokensOfBytes(bytes) - already,
    });
  }
  completion.toolCalls.forEach((call, index) => {
    const named = { index, id: call.id, type: 'function', function: { name: call.name, arguments: '' } };
    content.push({
      data: `${before}{"tool_calls":[${JSON.stringify(named)}]}${after}`,
      tokens: tokensOfBytes(Buffer.byteLength(call.name)),
    });
    let argumentBytes = 0;
    for (const piece of piecesOf(call.argumentsJson)) {
      const already = tokensOfBytes(argumentBytes);
      argumentBytes += Buffer.byteLength(piece);
      content.push({
        data: `${before}{"tool_calls":[{"index":${index},"function":{"arguments":${JSON.stringify(piece)}}}]}${after}`,
        tokens: tokensOfBytes(argumentBytes) - already,
      });
    }
  });
  const last = includeUsage && usage ? `${head}[],"usage":${JSON.stringify(usage)}}\n\n` : '';
  return {
    opening: role,
    content,
    closing: `${frame('{}', `"${completion.finishReason}"`)}${last}data: [DONE]\n\n`,
  };
}

/** Words with the space before them, as tokenizers cut; a very long word is cut too. */
function piecesOf(text: string): string[] {
  return text.match(/\s*\S{1,24}|\s+/gu) ?? [];
}

function identifier(prefix: string): string {
  return prefix + randomBytes(12).toString('hex');
}
