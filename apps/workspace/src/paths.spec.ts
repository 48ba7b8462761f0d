import { describe, expect, test } from '@jest/globals';
import { isReachable, parseFilePath, parsePrefix, userFolder } from './paths.js';

describe('a path', () => {
  test('names its agent first', () => {
    expect(parseFilePath('main/notes/today.md')).toMatchObject({ ok: true, agent: 'main', within: 'notes/today.md' });
    expect(parseFilePath('main')).toMatchObject({ ok: true, agent: 'main', within: '' });
  });

  test.each([
    '../x',
    'main/../x',
    '/etc/passwd',
    '.reef/staging/x',
    'Main/x',
    'main//x',
    'main/x/',
    'a\0b',
    '',
    '%2e%2e/x',
    '-rf/x',
    '~root/x',
  ])('%j is refused', (path) => expect(parseFilePath(path)).toMatchObject({ ok: false, code: 'path_refused' }));

  test('has 1,024 bytes at most', () => {
    const long = (bytes: number) =>
      `main/${'a'.repeat(200)}/${'b'.repeat(200)}/${'c'.repeat(200)}/${'d'.repeat(200)}/${'e'.repeat(bytes - 809)}`;
    expect(parseFilePath(long(1_024))).toMatchObject({ ok: true });
    expect(parseFilePath(long(1_025))).toMatchObject({ code: 'path_refused' });
  });

  test('has 32 levels at most', () => {
    expect(parseFilePath(`main${'/a'.repeat(31)}`)).toMatchObject({ ok: true });
    expect(parseFilePath(`main${'/a'.repeat(32)}`)).toMatchObject({ code: 'path_refused' });
  });
});

test('a list may begin with nothing, a folder or half a name, and not with a way out', () => {
  for (const prefix of ['', 'main', 'main/', 'main/SO']) expect(parsePrefix(prefix)).toEqual({ ok: true, prefix });
  for (const prefix of ['/', '../', 'main/../', 'main//'])
    expect(parsePrefix(prefix)).toMatchObject({ code: 'path_refused' });
});

describe("an end user's folder", () => {
  test('is the name itself where that is a plain word', () => expect(userFolder('ada-lovelace')).toBe('ada-lovelace'));

  test('is a hash for every other name, so that two names never share one', () => {
    const names = ['Ada', 'ada ', 'ada@example.org', '../ada', 'ada\0', 'a'.repeat(41), '語'];
    const folders = names.map(userFolder);
    for (const folder of folders) expect(folder).toMatch(/^u-[0-9a-f]{32}$/);
    expect(new Set(folders).size).toBe(names.length);
  });

  test("cannot be reached by taking another's hash for a name", () => {
    expect(userFolder(userFolder('Ada'))).not.toBe(userFolder('Ada'));
  });

  test('is reached by that person and nobody else', () => {
    expect(isReachable('users/ada/USER.md', 'ada')).toBe(true);
    expect(isReachable('users/ada/USER.md', 'bob')).toBe(false);
    expect(isReachable('users/ada/USER.md', null)).toBe(false);
    expect(isReachable(`users/${userFolder('Ada')}/USER.md`, 'Ada')).toBe(true);
    expect(isReachable('notes/users/ada', null)).toBe(true);
  });
});
