import { describe, expect, test } from '@jest/globals';
import { unprivileged } from './unprivileged.js';

const asRoot = process.getuid?.() === 0 ? test : test.skip;

describe('running PostgreSQL when we are root', () => {
  asRoot('a user namespace is preferred: it needs no change of owner', () => {
    expect(unprivileged(() => true)).toMatchObject({ ownerId: undefined, prefix: expect.arrayContaining(['unshare']) });
  });

  asRoot('where namespaces are forbidden another user owns the data', () => {
    const way = unprivileged((command) => command[0] !== 'unshare');
    expect(way).toMatchObject({ ownerId: 1000, prefix: expect.arrayContaining(['setpriv']) });
  });

  asRoot('where neither works the error names the two ways out', () => {
    expect(() => unprivileged(() => false)).toThrow(/ordinary user, or set REEF_DATABASE_URL/);
  });
});
