import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { providersFromEnvironment } from './providers.js';

const folder = mkdtempSync(join(tmpdir(), 'reef-providers-'));
afterAll(() => rmSync(folder, { recursive: true }));

function configFile(content: unknown): Record<string, string> {
  const path = join(folder, 'reef.config.json');
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return { REEF_CONFIG_FILE: path };
}

const simulator = { SIMULATOR_URL: 'http://127.0.0.1:4010' };
const own = { kind: 'openai-compatible', baseUrl: 'http://models.internal:8000/v1' };

describe('which providers there are', () => {
  test('the simulator alone gives its echo as the default', () => {
    const providers = providersFromEnvironment(simulator);
    expect([providers.names(), providers.defaultModel()]).toEqual([['simulator'], 'simulator/sim-echo']);
    expect(providers.resolve('simulator/sim-script')).toMatchObject({
      ok: true,
      kind: 'openai-compatible',
      model: { modelId: 'sim-script' },
    });
  });

  test('a real provider comes before the simulator, a default in the file before that, the variable before all', () => {
    const keys = { ...simulator, ANTHROPIC_API_KEY: 'k' };
    expect(providersFromEnvironment(keys).defaultModel()).toMatch(/^anthropic\//);
    const file = configFile({ providers: { own }, defaultModel: 'own/big' });
    expect(providersFromEnvironment({ ...keys, ...file }).defaultModel()).toBe('own/big');
    expect(
      providersFromEnvironment({ ...keys, ...file, REEF_DEFAULT_MODEL: 'simulator/sim-echo' }).defaultModel(),
    ).toBe('simulator/sim-echo');
  });

  test('an unknown provider, an empty model and a model that is not listed are refused as values', () => {
    const providers = providersFromEnvironment({
      ...simulator,
      ...configFile({ providers: { own: { ...own, models: ['big'] } } }),
    });
    for (const name of ['nobody/x', 'simulator/', 'simulator', '/x', '', 'own/small']) {
      expect(providers.resolve(name)).toMatchObject({ ok: false, code: 'model_unknown' });
    }
    expect(providers.resolve('own/big').ok).toBe(true);
  });

  test('a model name may contain slashes', () => {
    expect(providersFromEnvironment(simulator).resolve('simulator/meta/llama')).toMatchObject({
      model: { modelId: 'meta/llama' },
    });
  });

  test('without any provider the default says what to set', () => {
    expect(() => providersFromEnvironment({}).defaultModel()).toThrow('set OPENAI_API_KEY');
  });
});

describe('mistakes in the configuration', () => {
  test.each([
    ['{"apiKey":"hush', /is not JSON/],
    [{ providers: { own: { ...own, kind: 'magic', apiKey: 'hush' } } }, /providers\.own\.kind/],
    [{ providers: { own: { ...own, apiKeyEnv: 'MISSING_KEY' } } }, /MISSING_KEY, which is not set/],
    [{ providers: { own: { ...own, apiKeyEnv: 'A', apiKey: 'hush' } } }, /not both/],
    [{ providers: { own: { kind: 'openai-compatible' } } }, /providers\.own\.baseUrl is missing/],
    [{ providers: { own: { ...own, baseUrl: 'ftp://hush' } } }, /baseUrl/],
    [{ providers: { own }, defaultModel: 'other/x' }, /other\/x/],
  ])('%j is told by its place, not by its secret', (content, message) => {
    let said = '';
    try {
      providersFromEnvironment(configFile(content));
    } catch (error) {
      said = String(error);
    }
    expect(said).toMatch(message);
    expect(said).not.toContain('hush');
  });

  test('a file that is not there and a URL that is none are named', () => {
    expect(() => providersFromEnvironment({ REEF_CONFIG_FILE: join(folder, 'absent.json') })).toThrow('cannot be read');
    expect(() => providersFromEnvironment({ SIMULATOR_URL: 'nowhere' })).toThrow(
      'SIMULATOR_URL is not an http(s) URL.',
    );
  });
});
