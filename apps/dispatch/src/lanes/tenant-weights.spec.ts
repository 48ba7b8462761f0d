import { expect, test } from '@jest/globals';
import { TenantWeights, WEIGHT_MAX } from './tenant-weights.js';

test('a tenant weighs one until its plan says otherwise, and nothing makes it weigh nothing or all', () => {
  const weights = new TenantWeights();
  expect(weights.of('acme')).toBe(1);
  weights.set('acme', 3);
  expect([weights.of('acme'), weights.of('other')]).toEqual([3, 1]);
  for (const nonsense of [0, -1, NaN]) weights.set('acme', nonsense);
  expect(weights.of('acme')).toBe(3);
  weights.set('acme', 10 * WEIGHT_MAX);
  weights.set('other', 1e-9);
  expect([weights.of('acme'), weights.of('other')]).toEqual([WEIGHT_MAX, 1 / WEIGHT_MAX]);
});
