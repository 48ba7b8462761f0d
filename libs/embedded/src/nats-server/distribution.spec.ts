import { describe, expect, test } from '@jest/globals';
import { mirrorFrom } from './distribution.js';

describe('the machine’s package mirror', () => {
  test('is read from the one-line format, with its key', () => {
    const text =
      '# deb http://off.example/ bookworm main\ndeb [arch=amd64 signed-by=/k.gpg] http://m.example/debian bookworm main contrib\n';
    expect(mirrorFrom([{ name: 'sources.list', text }], 'bookworm')).toEqual({
      uri: 'http://m.example/debian',
      signedBy: '/k.gpg',
    });
  });

  test('is told from third parties and from what is switched off by suite', () => {
    const text = [
      'Types: deb\nURIs: http://third.example\nSuites: nodistro\n',
      'Types: deb\nEnabled: no\nURIs: http://off.example\nSuites: bookworm\n',
      'Types: deb deb-src\nURIs: http://m.example/debian http://second.example\nSuites: bookworm-updates bookworm\n',
    ].join('\n');
    expect(mirrorFrom([{ name: 'debian.sources', text }], 'bookworm')).toEqual({
      uri: 'http://m.example/debian',
      signedBy: undefined,
    });
    expect(mirrorFrom([{ name: 'debian.sources', text }], 'trixie')).toBeUndefined();
  });
});
