import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { anthropicModels } from './anthropic/model.js';
import type { Model } from './model.js';
import { chatModels } from './openai/model.js';

type Kind = 'openai-compatible' | 'anthropic';

export interface ResolvedModel {
  ok: true;
  kind: Kind;
  model: Model;
}

export interface Providers {
  /** `provider/model` → the model; an unknown provider, or a model that its provider does not list, is a value. */
  resolve(name: string): ResolvedModel | { ok: false; code: 'model_unknown'; message: string };
  /** What an agent uses that names no model. */
  defaultModel(): string;
  /** The names of the providers. */
  names(): string[];
}

const openAiUrl = 'https://api.openai.com/v1';
const anthropicUrl = 'https://api.anthropic.com/v1';
/** Agents may name any model of a provider, so what is kept of them is bounded. */
const keptModelsMax = 1_000;

const providerName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'use a–z, 0–9 and -');
const httpUrl = z.url({ protocol: /^https?$/ });

const configFile = z.looseObject({
  providers: z
    .record(
      providerName,
      z
        .strictObject({
          kind: z.enum(['openai-compatible', 'anthropic']),
          baseUrl: httpUrl.optional(),
          apiKeyEnv: z.string().min(1).optional(),
          apiKey: z.string().min(1).optional(),
          /** When given, no other model of this provider may be used. */
          models: z.array(z.string().min(1).max(120)).min(1).optional(),
        })
        .refine((each) => !(each.apiKey && each.apiKeyEnv), 'give apiKey or apiKeyEnv, not both'),
    )
    .default({}),
  defaultModel: z.string().optional(),
});

interface ProviderSettings {
  kind: Kind;
  baseUrl?: string | undefined;
  apiKey?: string | undefined;
  models?: string[] | undefined;
}

/**
 * The providers that the environment (OPENAI_API_KEY, OPENAI_BASE_URL, ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL, SIMULATOR_URL) and
 * the file REEF_CONFIG_FILE name; the file wins.
 * @throws Error that says which setting is wrong, never its value.
 */
export function providersFromEnvironment(environment: Record<string, string | undefined>): Providers {
  const file = readConfigFile(environment['REEF_CONFIG_FILE']);
  const settings = new Map<string, ProviderSettings>();
  const set = (name: string) => environment[name] || undefined;
  if (set('OPENAI_API_KEY')) {
    settings.set('openai', {
      kind: 'openai-compatible',
      apiKey: set('OPENAI_API_KEY'),
      baseUrl: urlFrom('OPENAI_BASE_URL', set('OPENAI_BASE_URL')),
    });
  }
  if (set('ANTHROPIC_API_KEY')) {
    settings.set('anthropic', {
      kind: 'anthropic',
      apiKey: set('ANTHROPIC_API_KEY'),
      baseUrl: urlFrom('ANTHROPIC_BASE_URL', set('ANTHROPIC_BASE_URL')),
    });
  }
  if (set('SIMULATOR_URL')) {
    settings.set('simulator', {
      kind: 'openai-compatible',
      apiKey: set('SIMULATOR_API_KEY'),
      baseUrl: urlFrom('SIMULATOR_URL', set('SIMULATOR_URL')),
    });
  }
  for (const [name, { apiKeyEnv, ...provider }] of Object.entries(file.providers)) {
    if (apiKeyEnv !== undefined && !set(apiKeyEnv)) {
      throw new Error(`REEF_CONFIG_FILE: providers.${name}.apiKeyEnv names ${apiKeyEnv}, which is not set.`);
    }
    if (provider.kind === 'openai-compatible' && provider.baseUrl === undefined && name !== 'openai') {
      throw new Error(`REEF_CONFIG_FILE: providers.${name}.baseUrl is missing.`);
    }
    settings.set(name, { ...provider, apiKey: apiKeyEnv === undefined ? provider.apiKey : set(apiKeyEnv) });
  }
  const models = new ProviderRegistry(settings);
  const wanted = set('REEF_DEFAULT_MODEL') ?? file.defaultModel ?? usualModel(settings);
  if (wanted !== undefined && !models.resolve(wanted).ok) {
    throw new Error(
      `The default model ${wanted} (REEF_DEFAULT_MODEL or defaultModel) belongs to no configured provider.`,
    );
  }
  return {
    resolve: (name) => models.resolve(name),
    names: () => [...settings.keys()],
    defaultModel: () => {
      if (wanted !== undefined) return wanted;
      throw new Error(
        'No model provider is configured: set OPENAI_API_KEY, ANTHROPIC_API_KEY, SIMULATOR_URL or REEF_CONFIG_FILE.',
      );
    },
  };
}

class ProviderRegistry {
  readonly #providers: Map<string, { kind: Kind; models: Set<string> | undefined; create(model: string): Model }>;
  readonly #kept = new Map<string, ResolvedModel>();

  constructor(settings: ReadonlyMap<string, ProviderSettings>) {
    this.#providers = new Map(
      [...settings].map(([name, each]) => [
        name,
        { kind: each.kind, models: each.models ? new Set(each.models) : undefined, create: creator(each) },
      ]),
    );
  }

  resolve(name: string): ReturnType<Providers['resolve']> {
    const kept = this.#kept.get(name);
    if (kept) return kept;
    const slash = name.indexOf('/');
    const provider = this.#providers.get(name.slice(0, Math.max(slash, 0)));
    const model = name.slice(slash + 1);
    if (!provider || model === '' || (provider.models && !provider.models.has(model))) {
      return {
        ok: false,
        code: 'model_unknown',
        message: `No configured provider offers the model ${name.slice(0, 200)}.`,
      };
    }
    const resolved: ResolvedModel = { ok: true, kind: provider.kind, model: provider.create(model) };
    if (this.#kept.size >= keptModelsMax) this.#kept.clear();
    this.#kept.set(name, resolved);
    return resolved;
  }
}

function creator({ kind, baseUrl, apiKey }: ProviderSettings): (model: string) => Model {
  if (kind === 'anthropic') return anthropicModels({ baseUrl: withVersion(baseUrl ?? anthropicUrl), apiKey });
  const url = withVersion(baseUrl ?? openAiUrl);
  return chatModels({ baseUrl: url, apiKey, outputLimit: url === openAiUrl ? 'max_completion_tokens' : 'max_tokens' });
}

/** A bare host is completed with the version that both wire formats have in their path. */
function withVersion(url: string): string {
  const trimmed = url.replace(/\/+$/, '');
  return new URL(trimmed).pathname === '/' ? `${trimmed}/v1` : trimmed;
}

function usualModel(settings: ReadonlyMap<string, ProviderSettings>): string | undefined {
  const usual: Record<string, string> = { openai: 'gpt-5-mini', anthropic: 'claude-sonnet-4-5', simulator: 'sim-echo' };
  for (const [name, { models }] of settings) {
    const model = models?.[0] ?? usual[name];
    if (model !== undefined) return `${name}/${model}`;
  }
  return undefined;
}

function urlFrom(variable: string, value: string | undefined): string | undefined {
  if (value !== undefined && !httpUrl.safeParse(value).success) throw new Error(`${variable} is not an http(s) URL.`);
  return value;
}

function readConfigFile(path: string | undefined): z.output<typeof configFile> {
  if (!path) return { providers: {} };
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    // The JSON parser quotes the text around a mistake, and there are keys in it.
    const reason = error instanceof SyntaxError ? 'is not JSON' : 'cannot be read';
    throw new Error(`REEF_CONFIG_FILE (${path}) ${reason}.`, {
      cause: error instanceof SyntaxError ? undefined : error,
    });
  }
  const parsed = configFile.safeParse(value);
  if (!parsed.success) throw new Error(`REEF_CONFIG_FILE (${path}) is wrong: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}
