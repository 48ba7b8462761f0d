import { describe, expect, test } from '@jest/globals';
import { listAnswer, parseCall, readAnswer } from './tools.js';

describe('reading a file for a model', () => {
  const poem = Buffer.from('one\ntwo\nthree\nfour');

  test('gives the lines asked for, and where to go on', () => {
    expect(readAnswer(poem, {}).content).toBe('one\ntwo\nthree\nfour');
    expect(readAnswer(poem, { offset: 2, limit: 2 }).content).toBe(
      'two\nthree\n[4 lines in all; go on with offset 4.]',
    );
    expect(readAnswer(poem, { offset: 4 }).content).toBe('four');
  });

  test('says how many lines there are when asked for one beyond', () => {
    expect(readAnswer(poem, { offset: 5 })).toEqual({ content: 'The file has 4 lines.', isError: true });
  });

  test('stops at the last line that fits into an answer', () => {
    const { content } = readAnswer(Buffer.from(`${'x'.repeat(999)}\n`.repeat(100)), {});
    expect(content.length).toBeLessThanOrEqual(50_000);
    expect(content).toMatch(/go on with offset 50\.\]$/);
  });

  test('cuts a line that alone is longer than an answer', () => {
    const { content, isError } = readAnswer(Buffer.from('🪸'.repeat(60_000)), {});
    expect(content.length).toBeLessThanOrEqual(50_000);
    expect(content.isWellFormed()).toBe(true);
    expect(isError).toBe(false);
  });

  test('says that a picture is not text instead of pouring it out', () => {
    expect(readAnswer(Buffer.from([0x89, 0x50, 0x4e, 0x47, 0]), {})).toEqual({
      content: 'The file is not text (5 bytes).',
      isError: true,
    });
  });
});

describe("a model's arguments", () => {
  test('are told to it when they do not fit', () => {
    expect(parseCall('read_file', '{"path": 7}')).toMatchObject({
      isError: true,
      content: expect.stringContaining('path'),
    });
    expect(parseCall('write_file', '{"path": "a", "content": "b", "mode": 777}')).toMatchObject({ isError: true });
    expect(parseCall('list_files', '{')).toEqual({ content: 'The arguments are not JSON.', isError: true });
    expect(parseCall('list_files', '{}')).toEqual({ name: 'list_files', input: {} });
  });
});

test('a list of very many files is cut to what an answer may hold, and says so', () => {
  const many = Array.from({ length: 1_001 }, (_, n) => ({ path: `notes/${'long'.repeat(30)}-${n}`, bytes: n }));
  const { content } = listAnswer(many);
  expect(content.length).toBeLessThanOrEqual(50_000);
  expect(content).toMatch(/There are more/);
  expect(listAnswer([])).toEqual({ content: 'There are no files here.', isError: false });
});
