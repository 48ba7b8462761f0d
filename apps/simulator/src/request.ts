import { z } from 'zod';

const part = z.looseObject({ type: z.string(), text: z.string().optional() });

const message = z.looseObject({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content: z.union([z.string(), z.array(part)]).nullish(),
  tool_calls: z
    .array(z.looseObject({ id: z.string(), function: z.looseObject({ name: z.string(), arguments: z.string() }) }))
    .nullish(),
  tool_call_id: z.string().optional(),
});

/** The part of OpenAI's chat completion request that the simulator understands; the rest is accepted and ignored. */
export const completionRequest = z.looseObject({
  model: z.string(),
  messages: z.array(message).min(1).max(10_000),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
  n: z.literal(1).nullish(),
  tools: z
    .array(z.looseObject({ function: z.looseObject({ name: z.string() }) }))
    .max(128)
    .nullish(),
});

export type CompletionRequest = z.infer<typeof completionRequest>;
export type WireMessage = z.infer<typeof message>;

/** What a message says, with the parts of a multi-part message joined and its images left out. */
export function textOf(message: WireMessage): string {
  if (typeof message.content === 'string') return message.content;
  return (message.content ?? []).map((each) => each.text ?? '').join('');
}

/** The messages after the last one of the user: the tool rounds of the turn that is running. */
export function sinceLastUser(messages: readonly WireMessage[]): { user: string; rounds: readonly WireMessage[] } {
  const at = messages.findLastIndex((each) => each.role === 'user');
  const user = messages[at];
  return { user: user === undefined ? '' : textOf(user), rounds: messages.slice(at + 1) };
}
