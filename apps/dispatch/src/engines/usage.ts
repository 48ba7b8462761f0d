import { NOTHING_USED, type Usage } from './engine.js';

/**
 * What a server of OpenAI's format reports, in disjoint kinds of tokens: what was read from a cache or written to one is within its
 * prompt, reasoning within its completion. Undefined where the report is partial or does not add up: budgets then estimates, and
 * nothing here guesses.
 */
export function openAiUsage(report: Record<string, unknown>): Usage | undefined {
  const { prompt_tokens: prompt, completion_tokens: completion, total_tokens: total } = report;
  const promptDetails = report['prompt_tokens_details'];
  // DeepSeek named its hits so before it followed OpenAI.
  const read = detail(promptDetails, 'cached_tokens') || (report['prompt_cache_hit_tokens'] ?? 0);
  const written = detail(promptDetails, 'cache_write_tokens');
  const told = detail(report['completion_tokens_details'], 'reasoning_tokens');
  if (!isCount(prompt) || !isCount(completion) || !isCount(read) || !isCount(written) || !isCount(told))
    return undefined;
  const reasoning = reasoningOf({ prompt, completion, told }, total);
  if (reasoning === undefined) return undefined;
  return sound({
    inputTokens: prompt - read - written,
    cacheReadTokens: read,
    cacheWriteTokens: written,
    cacheWrite1hTokens: 0,
    outputTokens: completion - (reasoning.isBeside ? 0 : reasoning.tokens),
    reasoningTokens: reasoning.tokens,
  });
}

/** The reasoning, and whether it is counted beside the completion; undefined where the total is another sum. */
function reasoningOf(
  { prompt, completion, told }: { prompt: number; completion: number; told: number },
  total: unknown,
): { tokens: number; isBeside: boolean } | undefined {
  if (total === undefined || total === null) return { tokens: told, isBeside: false };
  if (!isCount(total)) return undefined;
  const beside = total - prompt - completion;
  if (beside === 0) return { tokens: told, isBeside: false };
  // xAI counts reasoning beside the completion, and Gemini shows its thoughts in the total alone.
  return beside > 0 && (told === beside || told === 0) ? { tokens: beside, isBeside: true } : undefined;
}

/**
 * What Anthropic reports: its input, cache reads and cache writes are apart already, and writes for an hour where any are.
 * Undefined where the report is partial or does not add up.
 */
export function anthropicUsage(report: Record<string, unknown>): Usage | undefined {
  const { input_tokens: input, output_tokens: output } = report;
  const read = report['cache_read_input_tokens'] ?? 0;
  const written = report['cache_creation_input_tokens'] ?? 0;
  const split = report['cache_creation'] ?? undefined;
  const forAnHour = detail(split, 'ephemeral_1h_input_tokens');
  const forMinutes = split === undefined ? written : detail(split, 'ephemeral_5m_input_tokens');
  const thinking = detail(report['output_tokens_details'], 'thinking_tokens');
  if (!isCount(input) || !isCount(output) || !isCount(read) || !isCount(thinking)) return undefined;
  if (thinking > output) return undefined;
  if (!isCount(forMinutes) || !isCount(forAnHour) || forMinutes + forAnHour !== written) return undefined;
  return {
    inputTokens: input,
    cacheReadTokens: read,
    cacheWriteTokens: forMinutes,
    cacheWrite1hTokens: forAnHour,
    outputTokens: output - thinking,
    reasoningTokens: thinking,
  };
}

/** Of several calls together; undefined as soon as one of them is unknown. */
export function sumUsage(usages: readonly (Usage | undefined)[]): Usage | undefined {
  const sum = { ...NOTHING_USED };
  for (const usage of usages) {
    if (usage === undefined) return undefined;
    sum.inputTokens += usage.inputTokens;
    sum.cacheReadTokens += usage.cacheReadTokens;
    sum.cacheWriteTokens += usage.cacheWriteTokens;
    sum.cacheWrite1hTokens += usage.cacheWrite1hTokens;
    sum.outputTokens += usage.outputTokens;
    sum.reasoningTokens += usage.reasoningTokens;
  }
  return usages.length > 0 ? sum : undefined;
}

/** A number within a report's details; 0 where there are none. */
function detail(details: unknown, name: string): unknown {
  if (typeof details !== 'object' || details === null) return 0;
  return (details as Record<string, unknown>)[name] ?? 0;
}

function sound(usage: Usage): Usage | undefined {
  return Object.values(usage).every(isCount) ? usage : undefined;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
