import { z } from 'zod';

/** How the simulated provider behaves when a script does not say otherwise. */
const configSchema = z.strictObject({
  /** Time before the first token. */
  latencyMs: z.number().min(0).max(600_000).default(0),
  /** Pace of the stream; 0 sends the whole reply at once. */
  tokensPerSecond: z.number().min(0).max(1_000_000).default(0),
  /** Every n-th completion fails with 500; 0 never. */
  failEvery: z.int().min(0).default(0),
  /** When set, every /v1 request must carry it as a bearer token. */
  apiKey: z.string().min(1).optional(),
});

export type SimulatorConfig = z.infer<typeof configSchema>;

/**
 * Reads SIMULATOR_CONFIG (a JSON object), then the single variables, which win.
 * @throws Error that names the variable or field which is wrong, without its value.
 */
export function configFromEnvironment(environment: Record<string, string | undefined>): SimulatorConfig {
  const config = configSchema.safeParse({
    ...jsonObject(environment['SIMULATOR_CONFIG']),
    ...numberAt('latencyMs', environment['SIMULATOR_LATENCY_MS']),
    ...numberAt('tokensPerSecond', environment['SIMULATOR_TOKENS_PER_SECOND']),
    ...numberAt('failEvery', environment['SIMULATOR_FAIL_EVERY']),
    ...(environment['SIMULATOR_API_KEY'] ? { apiKey: environment['SIMULATOR_API_KEY'] } : {}),
  });
  if (!config.success) throw new Error(`The simulator's configuration is wrong: ${z.prettifyError(config.error)}`);
  return config.data;
}

function numberAt(field: string, text: string | undefined): Record<string, number> {
  return text === undefined || text === '' ? {} : { [field]: Number(text) };
}

function jsonObject(text: string | undefined): object {
  if (text === undefined || text === '') return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // The parser's message quotes the text, which may hold a key: say only what is expected.
  }
  throw new Error('SIMULATOR_CONFIG must be a JSON object.');
}
