import { describe, expect, test } from '@jest/globals';
import { heading, outcomeOf, rowOf, verdictOf } from './outcome.js';
import type { ReplayReport } from './outcome.js';

const report = (service: string, more: Partial<ReplayReport> = {}): ReplayReport => ({
  service,
  check: true,
  events: 12_345,
  rows: 67,
  durationMs: 1_650,
  differences: [],
  ...more,
});
const failure = { service: 'memory', check: true, failed: 'no route to the database' };

describe('a replay', () => {
  test('is a row of numbers under their names', () => {
    expect(`${heading}\n${rowOf(report('identity'))}`).toBe(
      'service       events      rows  seconds  differences\nidentity       12345        67      1.6            0',
    );
  });

  test('lists what differs, twenty at most, and says how many more there are', () => {
    const differences = Array.from({ length: 21 }, (_, index) => `limits: row ${index}`);
    const twenty = rowOf(report('budgets', { differences: differences.slice(0, 20) }));
    expect(twenty.split('\n')).toHaveLength(21);
    expect(twenty).not.toContain('more');
    expect(rowOf(report('budgets', { differences }))).toContain('\n  limits: row 19\n  … and 1 more');
  });

  test('is read from the line among others that is its report', () => {
    const output = `{"level":"warn","msg":"slow"}\n${JSON.stringify(report('budgets'))}\n`;
    expect(outcomeOf('budgets', true, output)).toEqual(report('budgets'));
  });

  test('without a report has failed, and says why', () => {
    const fatal = JSON.stringify({ level: 'fatal', err: { message: 'no route to the database' }, msg: 'could not' });
    expect(outcomeOf('memory', true, `${fatal}\n`)).toEqual(failure);
    expect(outcomeOf('memory', true, '')).toMatchObject({ failed: 'it ended without a word' });
    expect(rowOf(failure)).toBe('memory      failed: no route to the database');
  });

  test('that compared says whether anything differs; one that rebuilt says that it did', () => {
    const [same, other] = [report('identity'), report('budgets', { differences: ['limits: row 1'] })];
    expect(verdictOf([same], true)).toBe('no difference');
    expect(verdictOf([same, other], true)).toBe('what differed in budgets stands above');
    expect(verdictOf([same, failure], true)).toBe('the replay of memory failed');
    expect(verdictOf([same, other], false)).toBe(
      'the read models of identity, budgets were rebuilt from the events; what differed in budgets stands above',
    );
    expect(verdictOf([same], false)).toBe('the read models of identity were rebuilt from the events');
    expect(verdictOf([failure], false)).toBe('the replay of memory failed');
  });
});
