import { expect, test } from '@jest/globals';
import { percentile } from './percentile.js';

const oneToHundred = Array.from({ length: 100 }, (_, index) => 100 - index);

test('of a hundred values the fiftieth is the median, and the ninety-ninth what 99 % do not exceed', () => {
  expect(percentile(oneToHundred, 0.5)).toBe(50);
  expect(percentile(oneToHundred, 0.99)).toBe(99);
  expect(percentile(oneToHundred, 1)).toBe(100);
});

test('one value is every percentile, and none has none', () => {
  expect(percentile([7], 0.01)).toBe(7);
  expect(percentile([], 0.5)).toBeNaN();
});
