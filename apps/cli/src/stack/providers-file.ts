import { readIfThere } from './files.js';

/** The variables that the providers' file names in `apiKeyEnv`; none when there is no file, or one that dispatch will refuse. */
export function keyVariablesOf(providersFile: string): readonly string[] {
  try {
    const { providers } = JSON.parse(readIfThere(providersFile) ?? '{}') as {
      providers?: Readonly<Record<string, { readonly apiKeyEnv?: unknown } | null>>;
    };
    return Object.values(providers ?? {})
      .map((provider) => provider?.apiKeyEnv)
      .filter((name) => typeof name === 'string');
  } catch {
    return [];
  }
}
