import type { LanguageModelV4Usage } from '@ai-sdk/provider';
import { NOTHING_USED, type Usage } from './engine.js';

/**
 * The provider's report in disjoint kinds of tokens that add up to what it reported, or undefined when it did not report.
 * OpenAI counts cached tokens within the prompt and reasoning within the completion; Anthropic counts cache reads and writes apart.
 * The AI SDK turns a missing number into 0, so what was really there is read from `raw`.
 */
export function usageOf(report: LanguageModelV4Usage): Usage | undefined {
  const raw = report.raw;
  if (raw === undefined) return undefined;
  const openAiStyle = 'prompt_tokens' in raw || 'completion_tokens' in raw;
  const inputReported = openAiStyle ? raw['prompt_tokens'] : raw['input_tokens'];
  const outputReported = openAiStyle ? raw['completion_tokens'] : raw['output_tokens'];
  if (!isCount(inputReported) || !isCount(outputReported)) return undefined;

  const input = report.inputTokens.total ?? inputReported;
  const cacheReadTokens = Math.min(report.inputTokens.cacheRead ?? 0, input);
  const cacheWriteTokens = Math.min(report.inputTokens.cacheWrite ?? 0, input - cacheReadTokens);
  const output = report.outputTokens.total ?? outputReported;
  const reasoning = report.outputTokens.reasoning ?? 0;
  // Some providers (xAI) count reasoning beside the completion; their total says so.
  const beside = openAiStyle && reasoning > 0 && raw['total_tokens'] === input + output + reasoning;
  const reasoningTokens = beside ? reasoning : Math.min(reasoning, output);
  const usage: Usage = {
    inputTokens: input - cacheReadTokens - cacheWriteTokens,
    cacheReadTokens,
    cacheWriteTokens,
    cacheWrite1hTokens: 0,
    outputTokens: beside ? output : output - reasoningTokens,
    reasoningTokens,
  };
  return Object.values(usage).every(isCount) ? usage : undefined;
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

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
