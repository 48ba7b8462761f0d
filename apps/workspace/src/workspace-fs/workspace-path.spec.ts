import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { report } from './testing/temporary-workspace.js';
import { isTenant, parseWorkspacePath } from './workspace-path.js';

const isRefused = (path: string): boolean => !parseWorkspacePath(path).ok;
const runs = 2_000;

describe('a path that an OpenClaw workspace may hold is accepted', () => {
  test.each([
    'AGENTS.md',
    'users/profile-1/USER.md',
    'memory/2026-11-22.md',
    'skills/weather/SKILL.md',
    '.learnings/anna/LEARNINGS.md',
    '_global/PATTERNS.md',
    '.env',
    '.git/hooks/pre-commit',
    '-rf',
    '~root/x',
    '*.md',
    '$HOME/x',
    '%2e%2e/secret',
    '..%2fsecret',
    'C:',
    'meeting notes (final) v2.1.md',
    'Größe.md',
    '日本語/メモ.md',
    'عربي.md',
    '½ cup….md',
    '❤️.md',
    '👨‍👩‍👧 family.md',
    '🏴󠁧󠁢󠁥󠁮󠁧󠁿.md',
    '...rest.md',
    'x'.repeat(255),
    'é'.repeat(127),
    Array(64).fill('d').join('/'),
  ])('%j', (path) => expect(parseWorkspacePath(path)).toEqual({ ok: true, path, components: path.split('/') }));
});

describe('a path that could mean another place, or another name, is refused', () => {
  test.each([
    ...[
      '..',
      '.',
      '',
      '../x',
      'a/..',
      'a/../b',
      'a/../../b',
      './a',
      'a/.',
      'a/',
      'a//b',
      '/',
      '/etc/passwd',
      '//x',
      'file:///etc',
    ],
    ...[
      'a\\b',
      '..\\x',
      'C:\\x',
      '\\\\host\\share',
      'a\0',
      'a\0.md',
      'a\rb',
      'a\nb',
      'a\x1bb',
      'a\x7f',
      'a\u0085b',
      'a\u2028b',
    ],
    ...[
      '\ud800',
      'a\udc00b',
      'cafe\u0301',
      '\u212b',
      'a\u200bb',
      'a\u200db',
      'a\u202eb',
      '\ufeffa',
      'a\u00adb',
      'a\ufe0f',
      '\u3164',
    ],
    ...['\uff0e\uff0e', '\u2025', '\u2024\u2024', 'a\uff0fb', 'a\u2215b', 'a\u2044b', 'a\uff3cb', 'a\u29f8b'],
    ...[
      ' a',
      'a ',
      'a/ b',
      'a.',
      'a /b',
      '...',
      '\u00a0a',
      'x'.repeat(256),
      'é'.repeat(128),
      Array(65).fill('d').join('/'),
    ],
  ])('%j', (path) => expect(parseWorkspacePath(path)).toMatchObject({ ok: false, code: 'path_refused' }));
});

test('a path of 4,096 bytes is accepted and one of 4,097 refused', () => {
  const path = `${'d'.repeat(240)}/`.repeat(16) + 'e'.repeat(240);
  expect(isRefused(path)).toBe(false);
  expect(Buffer.byteLength(path)).toBe(4096);
  expect(isRefused(`${path}e`)).toBe(true);
});

test('whatever is accepted stays below the directory it is joined to, and comes back unchanged', () => {
  const pieces = fc.oneof(
    fc.constantFrom(
      '..',
      '.',
      '',
      '/',
      '\\',
      'a',
      'b.md',
      '%2e%2e',
      '\0',
      ' ',
      '\u202e',
      '\uff0e',
      'é',
      'e\u0301',
      '👍',
      '~',
      '-',
    ),
    fc.string({ unit: 'binary', maxLength: 4 }),
  );
  const path = fc.array(pieces, { maxLength: 12 }).chain((parts) => fc.constantFrom(parts.join('/'), parts.join('')));
  let accepted = 0;
  fc.assert(
    fc.property(path, (text) => {
      const parsed = parseWorkspacePath(text);
      if (!parsed.ok) return;
      accepted++;
      expect(parsed.components.join('/')).toBe(text);
      const resolved = new URL(`file:///root/${parsed.components.map(encodeURIComponent).join('/')}`).pathname;
      expect(resolved.startsWith('/root/')).toBe(true);
      for (const name of parsed.components) {
        expect(name).not.toMatch(/^\.{0,2}$/);
        expect(name).not.toMatch(/[/\\\p{Cc}\u200b-\u200c\u202a-\u202e\u2066-\u2069]/u);
        expect(name.normalize('NFC')).toBe(name);
        expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255);
      }
    }),
    { numRuns: runs },
  );
  expect(accepted).toBeGreaterThan(50);
  report(`paths: ${runs} generated, ${accepted} accepted, 0 outside`);
});

test('one bad name anywhere refuses the whole path', () => {
  const good = fc.array(fc.constantFrom('a', 'notes', '.learnings', 'x y', '日本'), { maxLength: 5 });
  const bad = fc.constantFrom(
    '..',
    '.',
    '',
    'a\\b',
    'a\0',
    'a\n',
    '\ud800',
    'e\u0301',
    '\u200b',
    'x'.repeat(256),
    'a ',
    '\uff0e\uff0e',
  );
  fc.assert(
    fc.property(good, bad, good, (before, name, after) => isRefused([...before, name, ...after].join('/'))),
    { numRuns: runs },
  );
});

describe('a tenant becomes a directory only by the pattern of tenants', () => {
  test.each(['a', 'acme', 'a-b', '0', 'x'.repeat(40)])('%j is one', (tenant) => expect(isTenant(tenant)).toBe(true));
  test.each([
    '',
    '.',
    '..',
    '.staging',
    'Acme',
    'a/b',
    'a\\b',
    '-a',
    'a-',
    'a b',
    'a\n',
    'a\0',
    'é',
    'x'.repeat(41),
    'a.b',
    '%2e',
  ])('%j is not', (tenant) => expect(isTenant(tenant)).toBe(false));
});
