import { expect, test } from '@jest/globals';
import { backoffMs, failuresAfter } from './backoff.js';

test('each failure in a row doubles the wait, up to five seconds', () => {
  expect([1, 2, 3, 6, 7, 8, 2_000].map(backoffMs)).toEqual([100, 200, 400, 3_200, 5_000, 5_000, 5_000]);
});

test('thirty healthy seconds forgive what was before; one millisecond less does not', () => {
  expect(failuresAfter(6, 30_000)).toBe(1);
  expect(failuresAfter(6, 29_999)).toBe(7);
  expect(failuresAfter(0, 10)).toBe(1);
});
