import type { Refusal, Result } from '@reef/contracts';
import { z } from 'zod';
import {
  type ConversationItem,
  isEmpty,
  outputTokens,
  readConversation,
  readTurn,
  type TurnRequest,
  unsupported,
  user,
} from './chat-request.js';

const ignored = z.unknown().optional();
const part = z.looseObject({ type: z.string(), text: z.string().optional() });
const item = z.looseObject({
  type: z.string().optional(),
  role: z.string().optional(),
  content: z.union([z.string(), z.array(part).max(1_000)]).nullish(),
});

export const responsesRequest = z.strictObject({
  model: z.string().min(1).max(200),
  input: z.union([z.string(), z.array(item).min(1).max(520)]),
  instructions: z.string().nullish(),
  stream: z.boolean().nullish(),
  max_output_tokens: outputTokens,
  user,
  // Documented by OpenAI, and decided by the agent or without effect here.
  include: ignored,
  max_tool_calls: ignored,
  metadata: ignored,
  moderation: ignored,
  parallel_tool_calls: ignored,
  prompt_cache_key: ignored,
  prompt_cache_options: ignored,
  prompt_cache_retention: ignored,
  reasoning: ignored,
  safety_identifier: ignored,
  service_tier: ignored,
  store: ignored,
  stream_options: ignored,
  temperature: ignored,
  top_p: ignored,
  truncation: ignored,
  // Refused unless they ask for nothing.
  background: ignored,
  context_management: ignored,
  conversation: ignored,
  previous_response_id: ignored,
  prompt: ignored,
  text: ignored,
  tool_choice: ignored,
  tools: ignored,
  top_logprobs: ignored,
});
export type ResponsesRequest = z.output<typeof responsesRequest>;

/** Understands a request of the Responses API. Pure. */
export function readResponses(
  body: ResponsesRequest,
  sessionHeader: string | string[] | undefined,
): Result<TurnRequest> {
  const refusal = refuseUnmet(body);
  if (refusal) return refusal;
  const items: ConversationItem[] =
    typeof body.input === 'string'
      ? [{ role: 'user', content: body.input, param: 'input', callsTools: false }]
      : body.input.map(({ type, role, content }, index) => ({
          // An item that is no message (a tool's output, a reference) is refused under the name of its type.
          role: type === undefined || type === 'message' ? (role ?? '') : type,
          content: content ?? null,
          param: `input.${index}`,
          callsTools: false,
        }));
  const conversation = readConversation(items, body.instructions ? [body.instructions] : []);
  if (!conversation.ok) return conversation;
  return readTurn({
    model: body.model,
    user: body.user ?? null,
    sessionHeader,
    outputTokensMax: body.max_output_tokens ?? null,
    ...conversation.value,
  });
}

const SESSIONS = 'name a session with `user` or x-openclaw-session-key instead';

function refuseUnmet(body: ResponsesRequest): Refusal | null {
  if (!isEmpty(body.tools))
    return unsupported('tools', "an agent's tools are its own: a client's tools are not called");
  if (!isEmpty(body.tool_choice) && body.tool_choice !== 'none' && body.tool_choice !== 'auto')
    return unsupported('tool_choice', "an agent's tools are its own");
  for (const param of ['previous_response_id', 'conversation', 'context_management'] as const)
    if (!isEmpty(body[param])) return unsupported(param, SESSIONS);
  if (!isEmpty(body.background)) return unsupported('background', 'responses are answered at once or streamed');
  if (!isEmpty(body.prompt)) return unsupported('prompt', "an agent's prompt is its workspace");
  if (!isEmpty(body.top_logprobs) && body.top_logprobs !== 0)
    return unsupported('top_logprobs', 'log probabilities are not available');
  const format = (body.text as { format?: { type?: unknown } | null } | null | undefined)?.format?.type;
  if (format !== undefined && format !== 'text') return unsupported('text.format', 'an agent answers in text');
  return null;
}
