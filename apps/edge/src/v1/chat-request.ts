import { endUser, type Refusal, type Result } from '@reef/contracts';
import { z } from 'zod';
import { refused } from '../http/refusals.js';
import { ok } from '../http/route.js';
import { agentOf } from './model-name.js';
import { sessionOf } from './session.js';

/** A turn as the two OpenAI shapes ask for it, once they are understood. */
export interface TurnRequest {
  readonly agent: string;
  /** As the client spelt it; said back in the reply. */
  readonly model: string;
  readonly session: string | null;
  readonly user: string | null;
  readonly message: string;
  readonly history: { role: 'user' | 'assistant'; content: string }[];
  readonly instructions: string | null;
  readonly outputTokensMax: number | null;
}

/** The bounds of dispatch's `startTurn`, checked here so that the refusal can name the client's own parameter. */
const MESSAGE_CHARS_MAX = 200_000;
const HISTORY_MAX = 500;
const INSTRUCTIONS_CHARS_MAX = 20_000;

export const user = endUser.refine((text) => text.isWellFormed(), 'must be well-formed Unicode').nullish();
export const outputTokens = z.int().min(1).max(1_000_000).nullish();
const ignored = z.unknown().optional();

const textPart = z.looseObject({ type: z.string(), text: z.string().optional() });
const content = z.union([z.string(), z.array(textPart).max(1_000)]).nullish();
const message = z.looseObject({ role: z.string(), content });

/** Parameters that OpenAI documents and that an agent decides for itself, or that change nothing here. */
const HARMLESS = {
  frequency_penalty: ignored,
  logit_bias: ignored,
  metadata: ignored,
  moderation: ignored,
  parallel_tool_calls: ignored,
  prediction: ignored,
  presence_penalty: ignored,
  prompt_cache_key: ignored,
  prompt_cache_options: ignored,
  prompt_cache_retention: ignored,
  reasoning_effort: ignored,
  safety_identifier: ignored,
  seed: ignored,
  service_tier: ignored,
  stop: ignored,
  store: ignored,
  temperature: ignored,
  top_p: ignored,
  verbosity: ignored,
};

/** Parameters whose wish cannot be met: silently ignoring them would give a wrong answer. */
const REFUSED_UNLESS_EMPTY = {
  audio: ignored,
  function_call: ignored,
  functions: ignored,
  logprobs: ignored,
  modalities: ignored,
  n: ignored,
  response_format: ignored,
  tool_choice: ignored,
  tools: ignored,
  top_logprobs: ignored,
  web_search_options: ignored,
};

export const chatRequest = z.strictObject({
  model: z.string().min(1).max(200),
  messages: z
    .array(message)
    .min(1)
    .max(HISTORY_MAX + 20),
  stream: z.boolean().nullish(),
  stream_options: z
    .strictObject({ include_usage: z.boolean().optional(), include_obfuscation: z.boolean().optional() })
    .nullish(),
  max_tokens: outputTokens,
  max_completion_tokens: outputTokens,
  user,
  ...HARMLESS,
  ...REFUSED_UNLESS_EMPTY,
});
export type ChatRequest = z.output<typeof chatRequest>;

export const unsupported = (param: string, message: string): Refusal =>
  refused('unsupported_parameter', message, { param });

const TOOLS = "an agent's tools are its own: a client's tools and functions are not called";

/** Whether a parameter is absent in effect: the values that mean the default. */
export const isEmpty = (value: unknown): boolean =>
  value === undefined || value === null || value === false || (Array.isArray(value) && value.length === 0);

/** Understands a chat completion request. Pure. */
export function readChat(body: ChatRequest, sessionHeader: string | string[] | undefined): Result<TurnRequest> {
  const refusal = refuseUnmet(body);
  if (refusal) return refusal;
  const conversation = readConversation(
    body.messages.map(({ role, content: parts, ...rest }, index) => ({
      role,
      content: parts ?? null,
      param: `messages.${index}`,
      callsTools: !isEmpty(rest['tool_calls']) || !isEmpty(rest['function_call']),
    })),
  );
  if (!conversation.ok) return conversation;
  return readTurn({
    model: body.model,
    user: body.user ?? null,
    sessionHeader,
    outputTokensMax: body.max_completion_tokens ?? body.max_tokens ?? null,
    ...conversation.value,
  });
}

function refuseUnmet(body: ChatRequest): Refusal | null {
  if (body.n !== undefined && body.n !== null && body.n !== 1)
    return unsupported('n', 'an agent gives one answer: n must be 1');
  for (const param of ['tools', 'functions'] as const) if (!isEmpty(body[param])) return unsupported(param, TOOLS);
  for (const param of ['tool_choice', 'function_call'] as const) {
    const choice = body[param];
    if (!isEmpty(choice) && choice !== 'none' && choice !== 'auto') return unsupported(param, TOOLS);
  }
  if (!isEmpty(body.logprobs)) return unsupported('logprobs', 'log probabilities are not available');
  if (!isEmpty(body.top_logprobs) && body.top_logprobs !== 0)
    return unsupported('top_logprobs', 'log probabilities are not available');
  if (!isEmpty(body.audio)) return unsupported('audio', 'audio is not supported');
  if (!isEmpty(body.web_search_options)) return unsupported('web_search_options', TOOLS);
  if (!isEmpty(body.modalities) && JSON.stringify(body.modalities) !== '["text"]')
    return unsupported('modalities', 'only text is supported');
  if (!isEmpty(body.response_format) && (body.response_format as { type?: unknown }).type !== 'text')
    return unsupported('response_format', 'an agent answers in text');
  return null;
}

export interface ConversationItem {
  readonly role: string;
  readonly content: string | readonly { type: string; text?: string | undefined }[] | null;
  /** How a refusal names it. */
  readonly param: string;
  readonly callsTools: boolean;
}

type Conversation = Pick<TurnRequest, 'message' | 'history' | 'instructions'>;
const TEXT_PARTS = new Set(['text', 'input_text', 'output_text']);

/** Sorts a request's messages: the last one is the turn's, those before it are history, system and developer ones are instructions. */
export function readConversation(
  items: readonly ConversationItem[],
  instructionsFirst: readonly string[] = [],
): Result<Conversation> {
  const instructions = [...instructionsFirst];
  const said: { role: 'user' | 'assistant'; content: string; param: string }[] = [];
  for (const { role, content: parts, param, callsTools } of items) {
    if (callsTools) return unsupported(`${param}.tool_calls`, TOOLS);
    const text = textOf(parts, `${param}.content`);
    if (!text.ok) return text;
    if (text.value.length > MESSAGE_CHARS_MAX)
      return refused('invalid_parameter', `a message holds at most ${MESSAGE_CHARS_MAX} characters`, {
        param: `${param}.content`,
      });
    if (role === 'system' || role === 'developer') instructions.push(text.value);
    else if (role === 'user' || role === 'assistant') said.push({ role, content: text.value, param });
    else return unsupported(`${param}.role`, `the role ${JSON.stringify(role.slice(0, 40))} is not supported`);
  }
  const last = said.pop();
  if (last?.role !== 'user')
    return refused('invalid_parameter', 'the last message must be from the user', { param: last?.param ?? 'messages' });
  if (last.content.length === 0)
    return refused('invalid_parameter', 'the message is empty', { param: `${last.param}.content` });
  if (said.length > HISTORY_MAX)
    return refused('invalid_parameter', `at most ${HISTORY_MAX} earlier messages`, { param: 'messages' });
  const told = instructions.filter((text) => text.length > 0).join('\n\n');
  if (told.length > INSTRUCTIONS_CHARS_MAX)
    return refused('invalid_parameter', `system messages hold at most ${INSTRUCTIONS_CHARS_MAX} characters in all`, {
      param: 'messages',
    });
  return ok({
    message: last.content,
    history: said.map(({ role, content: text }) => ({ role, content: text })),
    instructions: told || null,
  });
}

function textOf(content: ConversationItem['content'], param: string): Result<string> {
  if (content === null) return ok('');
  if (typeof content === 'string') return ok(content);
  const odd = content.findIndex(({ type, text }) => !TEXT_PARTS.has(type) || text === undefined);
  if (odd !== -1) {
    const type = JSON.stringify(content[odd]?.type.slice(0, 40));
    return unsupported(`${param}.${odd}`, `content of type ${type} is not supported: send text`);
  }
  return ok(content.map(({ text }) => text).join(''));
}

/** What both request shapes share once their conversation is known. */
export function readTurn(
  read: Conversation & {
    model: string;
    user: string | null;
    sessionHeader: string | string[] | undefined;
    outputTokensMax: number | null;
  },
): Result<TurnRequest> {
  const { sessionHeader, ...rest } = read;
  const agent = agentOf(read.model);
  if (agent === null) return refused('agent_not_found', 'this model names no agent of yours', { param: 'model' });
  const session = sessionOf(agent, sessionHeader, read.user);
  return session.ok ? ok({ ...rest, agent, session: session.value }) : session;
}
