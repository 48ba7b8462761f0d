import { z } from 'zod';
import { fillerTokensMax } from './tokens.js';

const toolCall = z.strictObject({
  name: z.string().min(1),
  /** An object is sent as JSON; a string is sent as it is, so that a test can send arguments that are not JSON. */
  arguments: z.union([z.record(z.string(), z.unknown()), z.string()]).default({}),
});

/** One answer of the model. A script has one step for each round of tool results. */
const step = z.strictObject({
  /** Names the answer in `GET /served`. */
  label: z.string().max(200).optional(),
  text: z.string().optional(),
  /** Adds a filler text of exactly so many tokens. */
  tokens: z.int().min(0).max(fillerTokensMax).optional(),
  /** Time before the first token. */
  delayMs: z.number().min(0).max(600_000).optional(),
  tokensPerSecond: z.number().min(0).max(1_000_000).optional(),
  toolCall: toolCall.optional(),
  toolCalls: z.array(toolCall).max(32).optional(),
  error: z
    .strictObject({
      status: z.int().min(400).max(599),
      body: z.unknown().optional(),
      retryAfterMs: z.number().min(0).optional(),
      /** Only the first so many attempts of the same user message fail; without it all do. */
      attempts: z.int().min(1).optional(),
    })
    .optional(),
  /** Cuts the connection after so many content chunks. */
  dropAfterChunks: z.int().min(0).optional(),
  /** Falls silent for so long after the first content chunk. */
  hangMs: z.number().min(0).max(600_000).optional(),
  /** Answers 200 with bytes that are not JSON. */
  nonsense: z.boolean().optional(),
  /** Reported instead of the count; null reports none, as some providers do. */
  usage: z.record(z.string(), z.unknown()).nullable().optional(),
  /** Sends OpenAI's rate limit headers; an object sends its own. */
  rateLimitHeaders: z.union([z.boolean(), z.record(z.string(), z.string())]).optional(),
});

export type Step = z.infer<typeof step>;
export type ToolCallStep = z.infer<typeof toolCall>;

const script = z.array(step).min(1).max(100);

/** The step for this round, or a sentence that says what is wrong with the script. A round past the end repeats the last step. */
export function stepOf(userMessage: string, toolResults: number): Step | string {
  let value: unknown;
  try {
    value = JSON.parse(userMessage);
  } catch {
    return 'sim-script needs a JSON array of steps as the last user message.';
  }
  const parsed = script.safeParse(value);
  if (!parsed.success) return `The script is wrong: ${z.prettifyError(parsed.error)}`;
  return parsed.data[Math.min(toolResults, parsed.data.length - 1)] ?? {};
}
