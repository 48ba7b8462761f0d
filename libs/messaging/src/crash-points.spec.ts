import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, jest, test } from '@jest/globals';
import { crashPoints } from './crash-points.js';

const folder = mkdtempSync(join(tmpdir(), 'reef-crash-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let homes = 0;
const newHome = () => join(folder, `home-${++homes}`);
const process = (REEF_CRASH_AT: string | undefined, REEF_CRASH_DIR = newHome(), more = {}) => {
  const die = jest.fn();
  const at = crashPoints({ ...(REEF_CRASH_AT && { REEF_CRASH_AT }), REEF_CRASH_DIR, ...more }, die);
  return { at, die };
};

describe('a crash point', () => {
  test('is nothing where nobody asked for one', () => {
    const home = newHome();
    const { at, die } = process(undefined, home, { NODE_ENV: 'production' });
    at('budgets', 'after-commit');
    expect(die).not.toHaveBeenCalled();
    expect(existsSync(home)).toBe(false);
  });

  test('ends the process that comes by at it, and at no other', () => {
    const { at, die } = process('budgets:after-commit, dispatch:before-settle');
    at('budgets', 'before-commit');
    at('dispatch', 'after-commit');
    expect(die).not.toHaveBeenCalled();
    at('budgets', 'after-commit');
    expect(die).toHaveBeenCalledTimes(1);
    at('dispatch', 'before-settle');
    expect(die).toHaveBeenCalledTimes(2);
  });

  test('waits for the third time where it says so', () => {
    const { at, die } = process('budgets:after-commit@3');
    for (const dead of [0, 0, 1, 1]) {
      at('budgets', 'after-commit');
      expect(die).toHaveBeenCalledTimes(dead);
    }
  });

  test('is met once in a home: neither the next process nor a neighbour dies of it again', () => {
    const home = newHome();
    const [first, second] = [process('budgets:after-commit', home), process('budgets:after-commit', home)];
    first.at('budgets', 'after-commit');
    second.at('budgets', 'after-commit');
    expect([first.die.mock.calls.length, second.die.mock.calls.length]).toEqual([1, 0]);
    expect(existsSync(join(home, 'budgets:after-commit'))).toBe(true);
  });

  test('cannot be set in production, without a home, or by a name that is none', () => {
    expect(() => process('budgets:after-commit', newHome(), { NODE_ENV: 'production' })).toThrow('is for tests');
    expect(() => crashPoints({ REEF_CRASH_AT: 'budgets:after-commit' })).toThrow('needs REEF_CRASH_DIR');
    for (const name of ['budgets', 'budgets:after-commit@0', '../etc:passwd', 'a:b,'])
      expect(() => process(name)).toThrow('not of the form');
  });
});
