import { deserialize, serialize } from 'node:v8';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Dictionary, dictionary, entriesOf, get, put, remove } from './dictionary.js';

const contents = (map: Dictionary<number>) => new Map(entriesOf(map));

describe('a dictionary', () => {
  test('holds what a map would hold, and no version ever changes', () => {
    const change = fc.record({ key: fc.nat(80).map(String), value: fc.option(fc.nat(100)) });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 200 }), (changes) => {
        const versions = [{ map: dictionary<number>(), copy: new Map<string, number>() }];
        for (const { key, value } of changes) {
          const { map, copy } = versions.at(-1)!;
          const next = new Map(copy);
          if (value === null) next.delete(key);
          else next.set(key, value);
          versions.push({ map: value === null ? remove(map, key) : put(map, key, value), copy: next });
        }
        for (const { map, copy } of versions) {
          expect(contents(map)).toEqual(copy);
          expect(map.size).toBe(copy.size);
          for (let key = 0; key <= 80; key++) expect(get(map, String(key))).toBe(copy.get(String(key)));
        }
      }),
      { numRuns: 50 },
    );
  });

  test('keeps ten thousand entries apart, takes them out again, and outlives a snapshot', () => {
    const keys = Array.from({ length: 10_000 }, (_, index) => `0190a1b2-0000-7000-8000-${index}`);
    const full = dictionary(keys.map((key, index) => [key, index] as const));
    expect(keys.every((key, index) => get(full, key) === index)).toBe(true);
    const restored = deserialize(serialize(full)) as typeof full;
    expect(contents(restored)).toEqual(contents(full));
    expect(keys.reduce(remove, restored).size).toBe(0);
    expect(entriesOf(keys.reduce(remove, restored))).toEqual([]);
    expect(full.size).toBe(10_000);
  });
});
