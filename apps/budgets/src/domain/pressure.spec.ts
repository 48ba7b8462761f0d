import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { pressureAt, type PressureStep, utilisationOf } from './pressure.js';

const STEPS: PressureStep[] = ['free', 'paced', 'background_waits', 'interactive_only', 'refused'];

test.each([
  [699_999n, 'free'],
  [700_000n, 'paced'],
  [899_999n, 'paced'],
  [900_000n, 'background_waits'],
  [979_999n, 'background_waits'],
  [980_000n, 'interactive_only'],
  [999_999n, 'interactive_only'],
  [1_000_000n, 'refused'],
  [1_000_001n, 'refused'],
])('at %s millionths of the cap the step is %s', (used, step) =>
  expect(pressureAt(utilisationOf(used, 1_000_000n)).step).toBe(step),
);

test('a cap is full only when nothing is left, however large it is', () => {
  expect(pressureAt(utilisationOf(10n ** 18n - 1n, 10n ** 18n)).step).toBe('interactive_only');
  expect(pressureAt(utilisationOf(10n ** 18n, 10n ** 18n)).step).toBe('refused');
});

test('a cap of zero is full from the start', () => expect(pressureAt(utilisationOf(0n, 0n)).step).toBe('refused'));

test('who uses more is never pressed less', () => {
  const amount = fc.bigInt(0n, 10n ** 15n);
  fc.assert(
    fc.property(amount, amount, amount, (cap, used, more) => {
      const [before, after] = [pressureAt(utilisationOf(used, cap)), pressureAt(utilisationOf(used + more, cap))];
      expect(after.utilisation).toBeGreaterThanOrEqual(before.utilisation);
      expect(STEPS.indexOf(after.step)).toBeGreaterThanOrEqual(STEPS.indexOf(before.step));
    }),
  );
});
