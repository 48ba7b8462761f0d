import { describe, expect, test } from '@jest/globals';
import { beginningOf, cutText, textOf } from './text.js';

describe('a text that is cut', () => {
  test('ends between two characters, never inside one', () => {
    expect(cutText('ab🪸cd', 3)).toBe('ab');
    expect(cutText('ab🪸cd', 4)).toBe('ab🪸');
    expect(cutText('abc', 3)).toBe('abc');
  });

  test('is read from no more bytes than it needs, and still ends between two characters', () => {
    const coral = Buffer.from('🪸'.repeat(50_000));
    expect(beginningOf(coral, 20_000)).toBe('🪸'.repeat(10_000));
    expect(beginningOf(coral, 19_999)).toBe('🪸'.repeat(9_999));
    expect(beginningOf(Buffer.from('é'.repeat(30_000)), 20_000)).toBe('é'.repeat(20_000));
    expect(beginningOf(Buffer.from('語'.repeat(30_000)), 20_000)).toBe('語'.repeat(20_000));
  });
});

test('bytes that are no text are recognised', () => {
  expect(textOf(Buffer.from('naïve'))).toBe('naïve');
  expect(textOf(Buffer.from([0x89, 0x50, 0x4e, 0x47]))).toBeNull();
  expect(textOf(Buffer.from('a\0b'))).toBeNull();
});
