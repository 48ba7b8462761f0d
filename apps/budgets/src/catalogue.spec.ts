import { describe, expect, test } from '@jest/globals';
import { modelId, price } from '@reef/contracts';
import { catalogueAt } from './catalogue.js';

const pricesAt = (day: string) => new Map(catalogueAt(Date.parse(day)).map((each) => [each.model, each]));

describe('the built-in catalogue', () => {
  const today = pricesAt('2026-11-22');

  test('prices well-known models exactly', () => {
    expect(today.get('openai/gpt-4o-mini')).toEqual({
      model: 'openai/gpt-4o-mini',
      inputPico: 150_000n,
      cacheReadPico: 75_000n,
      cacheWritePico: 150_000n,
      outputPico: 600_000n,
    });
    expect(today.get('anthropic/claude-3-5-haiku-latest')).toEqual({
      model: 'anthropic/claude-3-5-haiku-latest',
      inputPico: 800_000n,
      cacheReadPico: 80_000n,
      cacheWritePico: 1_000_000n,
      outputPico: 4_000_000n,
    });
  });

  test('takes the price that has begun, not one to come', () => {
    expect(pricesAt('2025-06-09').get('openai/o3')?.inputPico).toBe(10_000_000n);
    expect(pricesAt('2025-06-10').get('openai/o3')?.inputPico).toBe(2_000_000n);
  });

  test('takes the dearest hour of a price that varies over the day', () =>
    expect(today.get('deepseek/deepseek-chat')?.outputPico).toBe(1_100_000n));

  test('leaves out what tokens do not price: transcription, embeddings, fees a call', () => {
    expect(today.has('openai/whisper-1')).toBe(false);
    expect(today.has('openai/text-embedding-3-small')).toBe(false);
  });

  test('names each model once, in the form that agents use', () => {
    const models = catalogueAt(Date.parse('2026-11-22')).map(({ model }) => model);
    expect(models.length).toBeGreaterThan(300);
    expect(new Set(models).size).toBe(models.length);
    expect(models.filter((model) => !modelId.safeParse(model).success)).toEqual([]);
  });

  test('fits a message', () => {
    const text = JSON.stringify(catalogueAt(Date.parse('2026-11-22')).map((each) => price.encode(each)));
    expect(text.length).toBeLessThan(600_000);
  });

  test('charges for the simulator, so that nothing is ever free by accident', () =>
    expect(today.get('simulator/sim-echo')?.outputPico).toBeGreaterThan(0n));
});
