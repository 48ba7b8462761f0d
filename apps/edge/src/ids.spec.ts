import { expect, test } from '@jest/globals';
import { uuid } from '@reef/contracts';
import { idFrom } from './ids.js';

test('the same parts give the same UUID, and parts that only look alike another', () => {
  expect(idFrom(['a', 'b'])).toBe(idFrom(['a', 'b']));
  expect(idFrom(['ab', 'c'])).not.toBe(idFrom(['a', 'bc']));
  expect(uuid.safeParse(idFrom(['a'])).success).toBe(true);
});
