import { describe, expect, test } from '@jest/globals';
import { versionRefusal } from './provision.js';

describe('a PostgreSQL server', () => {
  test('of version 17 or newer may hold Reef’s databases', () => {
    for (const versionNumber of [170_000, 170_010, 180_004]) expect(versionRefusal(versionNumber)).toBeUndefined();
  });

  test.each([
    [169_999, 'PostgreSQL 16'],
    [150_018, 'PostgreSQL 15'],
    [90_624, 'PostgreSQL 9'],
  ])('of version number %i is refused as %s', (versionNumber, name) => {
    expect(versionRefusal(versionNumber)).toBe(`the server is ${name}, and Reef needs PostgreSQL 17 or newer`);
  });
});
