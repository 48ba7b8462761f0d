import { writeFileSync } from 'node:fs';

// Constructs the fixtures beside it: `node test/pricing/construct.ts`. What a call used is drawn first, each kind of token apart, and
// then spelled as the provider documents it; so the fixture knows the truth, and no reading of the payload has a part in it.

interface Usage {
  inputTokens: number;
  cacheReadTokens: number;
  cacheWriteTokens: number;
  cacheWrite1hTokens: number;
  outputTokens: number;
  reasoningTokens: number;
}
type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Kind = keyof Usage;
type Shape = (used: Usage, model: string) => { [key: string]: Json };

interface Plan {
  file: string;
  provider: string;
  /** What the source of the prices calls this shape. */
  flavor: string;
  models: string[];
  /** Kinds that the shape can tell, besides input and output. */
  kinds: Kind[];
  shape: Shape;
  count: number;
  at?: string[];
  /** Lengths of prompts at which prices change: each is met exactly, and with a token more. */
  edges?: number[];
  /** Why the source of the prices, or Reef's own reader, sees these otherwise; see README.md. */
  because?: (used: Usage, model: string, at: string) => string[];
}

const SEED = 20_261_122;
const AT = '2026-11-20T05:00:00.000Z';

/** Mulberry32 by Tommy Ettinger (public domain): small, and the same everywhere. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
const random = randomFrom(SEED);
const upTo = (most: number) => Math.floor(random() * (most + 1));
const pick = <Item>(items: readonly Item[]): Item => items[upTo(items.length - 1)] as Item;

/** Mostly short prompts, some long, a few empty answers and wholly cached prompts. */
function drawn(kinds: readonly Kind[], input = pick([40, 900, 12_000, 150_000, 420_000])): Usage {
  const used: Usage = {
    inputTokens: 1 + upTo(input),
    cacheReadTokens: 0,
    cacheWriteTokens: 0,
    cacheWrite1hTokens: 0,
    outputTokens: random() < 0.05 ? 0 : upTo(pick([20, 700, 8_000])),
    reasoningTokens: 0,
  };
  const wholly = random() < 0.05;
  for (const kind of ['cacheReadTokens', 'cacheWriteTokens', 'cacheWrite1hTokens'] as const) {
    if (!kinds.includes(kind) || random() < 0.4) continue;
    used[kind] = wholly ? used.inputTokens : upTo(used.inputTokens);
    used.inputTokens -= used[kind];
  }
  if (kinds.includes('reasoningTokens') && random() < 0.7) used.reasoningTokens = upTo(pick([128, 2_048, 30_000]));
  return used;
}

/** Moves uncached tokens until the whole prompt has this length. */
function withInput(used: Usage, input: number): Usage {
  const cached = used.cacheReadTokens + used.cacheWriteTokens + used.cacheWrite1hTokens;
  return cached > input ? withInput(drawn([], 1), input) : { ...used, inputTokens: input - cached };
}

const promptOf = (used: Usage) =>
  used.inputTokens + used.cacheReadTokens + used.cacheWriteTokens + used.cacheWrite1hTokens;
const completionOf = (used: Usage) => used.outputTokens + used.reasoningTokens;

const chat = (model: string, usage: Json, more: { [key: string]: Json } = {}) => ({
  id: `chatcmpl-${upTo(1e9)}`,
  object: 'chat.completion',
  model,
  usage,
  ...more,
});

const openAiChat: Shape = (used, model) =>
  chat(model, {
    prompt_tokens: promptOf(used),
    completion_tokens: completionOf(used),
    total_tokens: promptOf(used) + completionOf(used),
    prompt_tokens_details: {
      cached_tokens: used.cacheReadTokens,
      audio_tokens: 0,
      ...(used.cacheWriteTokens > 0 && { cache_write_tokens: used.cacheWriteTokens }),
    },
    completion_tokens_details: {
      reasoning_tokens: used.reasoningTokens,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  });

/** Old models, and servers that speak the format, say no more than this. */
const plainChat: Shape = (used, model) =>
  chat(model, {
    prompt_tokens: promptOf(used),
    completion_tokens: completionOf(used),
    total_tokens: promptOf(used) + completionOf(used),
  });

const audioChat: Shape = (used, model) =>
  chat(model, {
    prompt_tokens: promptOf(used),
    completion_tokens: completionOf(used),
    total_tokens: promptOf(used) + completionOf(used),
    prompt_tokens_details: { audio_tokens: Math.ceil(used.inputTokens / 2) },
  });

const openAiResponses: Shape = (used, model) => ({
  id: `resp_${upTo(1e9)}`,
  object: 'response',
  status: 'completed',
  model,
  usage: {
    input_tokens: promptOf(used),
    input_tokens_details: {
      cached_tokens: used.cacheReadTokens,
      ...(used.cacheWriteTokens > 0 && { cache_write_tokens: used.cacheWriteTokens }),
    },
    output_tokens: completionOf(used),
    output_tokens_details: { reasoning_tokens: used.reasoningTokens },
    total_tokens: promptOf(used) + completionOf(used),
  },
});

const anthropicOf =
  (usage: (used: Usage) => { [key: string]: Json }): Shape =>
  (used, model) => ({
    id: `msg_${upTo(1e9)}`,
    type: 'message',
    role: 'assistant',
    model,
    stop_reason: 'end_turn',
    usage: { input_tokens: used.inputTokens, output_tokens: completionOf(used), ...usage(used) },
  });
const anthropic = anthropicOf((used) => ({
  cache_creation_input_tokens: used.cacheWriteTokens + used.cacheWrite1hTokens,
  cache_read_input_tokens: used.cacheReadTokens,
  cache_creation: {
    ephemeral_5m_input_tokens: used.cacheWriteTokens,
    ephemeral_1h_input_tokens: used.cacheWrite1hTokens,
  },
  service_tier: 'standard',
  ...(used.reasoningTokens > 0 && { output_tokens_details: { thinking_tokens: used.reasoningTokens } }),
}));
/** Before cache writes for an hour there was no `cache_creation`. */
const anthropicOld = anthropicOf((used) => ({
  cache_creation_input_tokens: used.cacheWriteTokens,
  cache_read_input_tokens: used.cacheReadTokens,
}));
const anthropicSearch = anthropicOf((used) => ({
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: used.cacheReadTokens,
  server_tool_use: { web_search_requests: 2 },
}));

/** Thoughts are in the total and nowhere else. */
const geminiThoughts: Shape = (used, model) =>
  chat(model, {
    prompt_tokens: promptOf(used),
    completion_tokens: used.outputTokens,
    total_tokens: promptOf(used) + completionOf(used),
  });

const deepSeek: Shape = (used, model) =>
  chat(model, {
    prompt_tokens: promptOf(used),
    completion_tokens: completionOf(used),
    total_tokens: promptOf(used) + completionOf(used),
    prompt_tokens_details: { cached_tokens: used.cacheReadTokens },
    completion_tokens_details: { reasoning_tokens: used.reasoningTokens },
    prompt_cache_hit_tokens: used.cacheReadTokens,
    prompt_cache_miss_tokens: used.inputTokens,
  });
/** As it was before the details: hits and misses alone. */
const deepSeekHits: Shape = (used, model) =>
  chat(model, {
    prompt_tokens: promptOf(used),
    completion_tokens: completionOf(used),
    total_tokens: promptOf(used) + completionOf(used),
    prompt_cache_hit_tokens: used.cacheReadTokens,
    prompt_cache_miss_tokens: used.inputTokens,
  });

/** Reasoning is counted beside the completion; the total says so. */
const xai: Shape = (used, model) =>
  chat(model, {
    prompt_tokens: promptOf(used),
    completion_tokens: used.outputTokens,
    total_tokens: promptOf(used) + completionOf(used),
    prompt_tokens_details: {
      text_tokens: promptOf(used),
      audio_tokens: 0,
      image_tokens: 0,
      cached_tokens: used.cacheReadTokens,
    },
    completion_tokens_details: {
      reasoning_tokens: used.reasoningTokens,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
    num_sources_used: 0,
  });

const groq: Shape = (used, model) =>
  chat(
    model,
    {
      queue_time: 0.03,
      prompt_tokens: promptOf(used),
      prompt_time: 0.002,
      completion_tokens: completionOf(used),
      completion_time: 0.5,
      total_tokens: promptOf(used) + completionOf(used),
      total_time: 0.502,
      ...(used.cacheReadTokens > 0 && { prompt_tokens_details: { cached_tokens: used.cacheReadTokens } }),
      ...(used.reasoningTokens > 0 && { completion_tokens_details: { reasoning_tokens: used.reasoningTokens } }),
    },
    { x_groq: { id: 'req_1' } },
  );

const openRouter: Shape = (used, model) =>
  chat(model, {
    prompt_tokens: promptOf(used),
    completion_tokens: completionOf(used),
    total_tokens: promptOf(used) + completionOf(used),
    cost: 0.0123,
    is_byok: false,
    prompt_tokens_details: {
      cached_tokens: used.cacheReadTokens,
      cache_write_tokens: used.cacheWriteTokens,
      audio_tokens: 0,
    },
    completion_tokens_details: { reasoning_tokens: used.reasoningTokens, image_tokens: 0 },
  });

const READ: Kind[] = ['cacheReadTokens'];
const THINK: Kind[] = ['reasoningTokens'];

/** DeepSeek is dear in certain hours, and Reef prices every hour as those. */
function dearestHour(used: Usage, model: string, at: string): string[] {
  const minute = new Date(at).getUTCHours() * 60 + new Date(at).getUTCMinutes();
  const dear = /^deepseek-(chat|reasoner)/.test(model)
    ? minute >= 30 && minute < 990
    : (minute >= 60 && minute < 240) || (minute >= 360 && minute < 600);
  return dear || promptOf(used) + completionOf(used) === 0 ? [] : ['dearest_hour'];
}

const deepSeekModels = ['deepseek-chat', 'deepseek-reasoner', 'deepseek-v4-flash', 'deepseek-v4-pro'];
const hours = ['2026-11-20T02:00:00.000Z', '2026-11-20T08:30:00.000Z', '2026-11-20T20:00:00.000Z'];
/** Their prices of writing to a cache have more than six decimals. */
const finer = /^google\/gemini-(2\.5-flash-lite|3-flash-preview|3\.1-flash-lite|3\.5-flash)$/;

const plans: Plan[] = [
  { file: 'openai-chat', provider: 'openai', flavor: 'chat', count: 36, kinds: [...READ, ...THINK], shape: openAiChat,
    models: ['gpt-4o-mini', 'gpt-4o-2024-08-06', 'gpt-4.1', 'gpt-4.1-mini-2025-04-14', 'gpt-5', 'gpt-5-mini-2025-08-07', 'gpt-5-nano-2025-08-07', 'gpt-5.1', 'gpt-5.2', 'o3', 'o4-mini'] },
  { file: 'openai-chat', provider: 'openai', flavor: 'chat', count: 22, kinds: [...READ, 'cacheWriteTokens', ...THINK], shape: openAiChat, edges: [271_999],
    models: ['gpt-5.6-sol', 'gpt-5.6-terra-2026-09-01', 'gpt-5.6-luna', 'gpt-6-sol-2026-10-10', 'gpt-6-luna'] },
  { file: 'openai-chat', provider: 'openai', flavor: 'chat', count: 12, kinds: [], shape: plainChat, models: ['gpt-3.5-turbo', 'gpt-4', 'gpt-4-turbo'] },
  { file: 'openai-responses', provider: 'openai', flavor: 'responses', count: 36, kinds: [...READ, ...THINK], shape: openAiResponses,
    models: ['gpt-4o', 'gpt-4.1-nano', 'gpt-5', 'gpt-5-mini', 'gpt-5-nano', 'gpt-5.1', 'gpt-5.3-codex', 'gpt-5.4-mini', 'o3', 'o3-mini', 'o1'] },
  { file: 'openai-responses', provider: 'openai', flavor: 'responses', count: 16, kinds: [...READ, 'cacheWriteTokens', ...THINK], shape: openAiResponses, edges: [271_999],
    models: ['gpt-5.6-sol-2026-08-21', 'gpt-6-sol', 'gpt-6-luna'] },
  { file: 'anthropic', provider: 'anthropic', flavor: 'default', count: 50, shape: anthropic, edges: [200_000],
    kinds: [...READ, 'cacheWriteTokens', 'cacheWrite1hTokens', ...THINK],
    models: ['claude-sonnet-4-5-20250929', 'claude-sonnet-4-6', 'claude-opus-4-6', 'claude-opus-5-20260301', 'claude-haiku-4-5-20251001', 'claude-3-7-sonnet-20250219', 'claude-sonnet-5', 'claude-fable-5'] },
  { file: 'anthropic', provider: 'anthropic', flavor: 'default', count: 12, kinds: [...READ, 'cacheWriteTokens'], shape: anthropicOld,
    models: ['claude-3-5-sonnet-20241022', 'claude-3-5-haiku-20241022', 'claude-3-haiku-20240307'] },
  { file: 'anthropic', provider: 'anthropic', flavor: 'default', count: 3, kinds: READ, shape: anthropicSearch, models: ['claude-sonnet-4-6', 'claude-opus-4-5-20251101'],
    because: () => ['web_search_fee'] },
  { file: 'gemini', provider: 'google', flavor: 'chat', count: 24, kinds: THINK, shape: geminiThoughts, edges: [200_000],
    models: ['gemini-2.5-pro', 'gemini-2.5-flash', 'gemini-2.5-pro-preview-06-05', 'gemini-3-pro-preview', 'gemini-3.1-pro-preview'],
    because: ({ reasoningTokens }) => (reasoningTokens > 0 ? ['thoughts_unread'] : []) },
  { file: 'gemini', provider: 'google', flavor: 'chat', count: 16, kinds: [...READ, ...THINK], shape: openAiChat, edges: [128_000, 200_000],
    models: ['gemini-1.5-flash', 'gemini-2.5-pro', 'gemini-3.6-flash', 'gemini-2.0-flash-001', 'gemini-3.5-flash-lite'] },
  { file: 'gemini', provider: 'google', flavor: 'chat', count: 4, kinds: [], shape: audioChat, models: ['gemini-2.5-flash', 'gemini-3-flash-preview'], because: () => ['audio_as_text'] },
  { file: 'deepseek', provider: 'deepseek', flavor: 'chat', count: 24, kinds: [...READ, ...THINK], shape: deepSeek, models: deepSeekModels, at: hours, because: dearestHour },
  { file: 'deepseek', provider: 'deepseek', flavor: 'chat', count: 10, kinds: READ, shape: deepSeekHits, models: ['deepseek-chat', 'deepseek-reasoner'], at: hours,
    because: (used, model, at) => [...dearestHour(used, model, at), ...(used.cacheReadTokens > 0 ? ['hits_unread'] : [])] },
  { file: 'xai', provider: 'x-ai', flavor: 'chat', count: 26, kinds: [...READ, ...THINK], shape: xai, edges: [199_999],
    models: ['grok-3-mini', 'grok-4-0709', 'grok-4.20', 'grok-4.5', 'grok-4.5-20260801', 'grok-4.6', 'grok-code-fast-1'] },
  { file: 'xai', provider: 'x-ai', flavor: 'chat', count: 8, kinds: [...READ, ...THINK], shape: openAiChat, models: ['grok-4.3', 'grok-4.6'],
    because: ({ reasoningTokens }) => (reasoningTokens > 0 ? ['reasoning_twice'] : []) },
  { file: 'groq', provider: 'groq', flavor: 'default', count: 20, kinds: [...READ, ...THINK], shape: groq,
    models: ['llama-3.3-70b-versatile', 'llama-3.1-8b-instant', 'openai/gpt-oss-120b', 'openai/gpt-oss-20b', 'qwen/qwen3-32b', 'moonshotai/kimi-k2-instruct'] },
  { file: 'others', provider: 'openrouter', flavor: 'chat', count: 24, kinds: [...READ, 'cacheWriteTokens', ...THINK], shape: openRouter, edges: [272_000],
    models: ['openai/gpt-6-sol', 'anthropic/claude-sonnet-4.5', 'google/gemini-2.5-flash-lite', 'google/gemini-3.5-flash', 'x-ai/grok-4-fast', 'perplexity/sonar-deep-research', 'openai/gpt-4o-mini'],
    because: (used, model) => (finer.test(model) && used.cacheWriteTokens > 0 ? ['finer_than_pico'] : []) },
  { file: 'others', provider: 'mistral', flavor: 'default', count: 10, kinds: READ, shape: openAiChat, models: ['mistral-large-2512', 'codestral-2508', 'mistral-medium-latest', 'magistral-medium-2509'] },
  { file: 'others', provider: 'moonshotai', flavor: 'chat', count: 8, kinds: [...READ, ...THINK], shape: openAiChat, models: ['kimi-k2.6', 'kimi-k2-thinking', 'kimi-k3'] },
  { file: 'others', provider: 'fireworks', flavor: 'chat', count: 6, kinds: READ, shape: openAiChat, models: ['accounts/fireworks/models/kimi-k2p6', 'accounts/fireworks/models/glm-5p2'] },
  { file: 'others', provider: 'cerebras', flavor: 'chat', count: 6, kinds: THINK, shape: openAiChat, models: ['gpt-oss-120b', 'zai-glm-4.7'] },
  { file: 'others', provider: 'zai', flavor: 'chat', count: 6, kinds: [...READ, ...THINK], shape: openAiChat, models: ['GLM-5.2', 'GLM-5.3'] },
  { file: 'others', provider: 'together', flavor: 'chat', count: 6, kinds: [], shape: plainChat, models: ['meta-llama/Llama-3.3-70B-Instruct-Turbo', 'mistralai/Mixtral-8x7B-Instruct-v0.1'], because: () => ['no_reader'] },
]; // prettier-ignore

interface Case {
  name: string;
  provider: string;
  flavor: string;
  at: string;
  payload: Json;
  usage: Usage | null;
  because: string[];
}

const files = new Map<string, Case[]>();
function add(file: string, one: Omit<Case, 'name'>): void {
  const cases = files.get(file) ?? [];
  files.set(file, cases);
  cases.push({ name: `${file} ${String(cases.length + 1).padStart(2, '0')}`, ...one });
}

for (const plan of plans) {
  const { provider, flavor, models, kinds, shape, edges = [], at: times = [AT], because } = plan;
  // Every model once, at every edge once on both sides, and by chance from there on.
  const lengths = edges.flatMap((edge) =>
    models.flatMap((model) => [[model, edge] as const, [model, edge + 1] as const]),
  );
  for (let index = 0; index < plan.count; index++) {
    const [model, length] = lengths[index] ?? [models[index % models.length] as string, null];
    const used = length === null ? drawn(kinds) : withInput(drawn(kinds, length), length);
    const at = times[index % times.length] as string;
    add(plan.file, {
      provider,
      flavor,
      at,
      payload: shape(used, model),
      usage: used,
      because: because?.(used, model, at) ?? [],
    });
  }
}

const used = (change: Partial<Usage>): Usage => ({ ...drawn([], 0), inputTokens: 0, outputTokens: 0, ...change });
const five = used({ inputTokens: 5, outputTokens: 1 });
const twelve = used({ inputTokens: 12, outputTokens: 3 });
const BELIEVED = 'they_believe';
const prompt = (more: { [key: string]: Json }): Json => ({ prompt_tokens: 12, completion_tokens: 3, ...more });
const input = (more: { [key: string]: Json }): Json => ({ input_tokens: 5, output_tokens: 1, ...more });
const nothing: Json[] = [null, {}, 'none', [], 0, true];
const halves: Json[] = [{ input_tokens: 5 }, { output_tokens: 5 }, { input_tokens: 5, output_tokens: '5' }];

/** Broken and partial reports: what is believed of them, null where nothing is, and whether the source of the prices believes more. */
const odd: Record<'chat' | 'default' | 'responses', [usage: Json, believed: Usage | null, ...because: string[]][]> = {
  chat: [
    ...nothing.map((usage): [Json, null] => [usage, null]),
    [{ prompt_tokens: 12 }, null],
    [{ completion_tokens: 12 }, null],
    [{ total_tokens: 24 }, null],
    [prompt({ prompt_tokens: '12' }), null],
    [prompt({ prompt_tokens: null }), null],
    [prompt({ prompt_tokens: -1 }), null],
    [prompt({ completion_tokens: -3 }), null],
    [prompt({ prompt_tokens: 12.5 }), null, BELIEVED],
    [prompt({ completion_tokens: 2 ** 53 }), null, BELIEVED],
    [prompt({ total_tokens: 9 }), null, BELIEVED],
    [prompt({ prompt_tokens_details: { cached_tokens: -4 } }), null],
    [prompt({ prompt_tokens_details: { cached_tokens: 1.5 } }), null, BELIEVED],
    [prompt({ prompt_tokens_details: { cached_tokens: 12 } }), used({ cacheReadTokens: 12, outputTokens: 3 })],
    [prompt({ prompt_tokens_details: { cached_tokens: 13 } }), null, BELIEVED],
    [prompt({ completion_tokens_details: { reasoning_tokens: -1 } }), null],
    [prompt({ completion_tokens_details: { reasoning_tokens: 3 } }), used({ inputTokens: 12, reasoningTokens: 3 })],
    [prompt({ completion_tokens_details: { reasoning_tokens: 4 } }), null, BELIEVED],
    [prompt({}), twelve],
    [prompt({ prompt_tokens_details: null }), twelve],
    [prompt({ prompt_tokens_details: { cached_tokens: null } }), twelve],
    [prompt({ prompt_tokens_details: {}, completion_tokens_details: {} }), twelve],
    [{ prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 }, used({})],
  ],
  default: [
    ...[...nothing, ...halves].map((usage): [Json, null] => [usage, null]),
    [input({ cache_read_input_tokens: -1 }), null],
    [input({ cache_creation_input_tokens: null, cache_read_input_tokens: null }), five],
    [input({ input_tokens: 0, cache_read_input_tokens: 900 }), used({ cacheReadTokens: 900, outputTokens: 1 })],
    // Written, but not for how long: the shorter, which is what one gets without asking.
    [input({ cache_creation_input_tokens: 70, cache_creation: null }), { ...five, cacheWriteTokens: 70 }],
    [input({ cache_creation_input_tokens: 70, cache_creation: { ephemeral_1h_input_tokens: 30 } }), null, BELIEVED],
  ],
  responses: [
    ...[...nothing, ...halves].map((usage): [Json, null] => [usage, null]),
    [input({ total_tokens: 6 }), five],
    [input({ input_tokens_details: null, output_tokens_details: null }), five],
    [input({ input_tokens_details: { cached_tokens: 9 } }), null, BELIEVED],
  ],
};

for (const [flavor, reports] of Object.entries(odd)) {
  const [provider, model] = flavor === 'default' ? ['anthropic', 'claude-sonnet-4-5'] : ['openai', 'gpt-5-mini'];
  for (const [usage, believed, ...because] of reports) {
    add('broken', { provider, flavor, at: AT, payload: { model, usage }, usage: believed, because });
  }
}

for (const [file, cases] of files) {
  const lines = cases.map((one) => `${JSON.stringify(one)}\n`).join('');
  writeFileSync(new URL(`./fixtures/${file}.jsonl`, import.meta.url), lines);
}
