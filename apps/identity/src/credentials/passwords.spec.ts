import { expect, test } from '@jest/globals';
import { Passwords } from './passwords.js';

const passwords = new Passwords();

test('passwords are hashed by argon2id with 19 MiB, two passes and one lane', async () =>
  expect(await passwords.hash('correct horse')).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/));

test('only the right password opens', async () => {
  const kept = await passwords.hash('correct horse');
  expect(await passwords.verify(kept, 'correct horse')).toBe(true);
  expect(await passwords.verify(kept, 'correct horsf')).toBe(false);
});

test('no password opens an account that does not exist', async () =>
  expect(await passwords.verify(null, 'correct horse')).toBe(false));

test('a letter is a letter, however the keyboard composes it', async () => {
  const kept = await passwords.hash('caf\u00e9 au lait');
  expect(await passwords.verify(kept, 'cafe\u0301 au lait')).toBe(true);
});
