import { describe, expect, test } from '@jest/globals';
import { instanceNames, instancesFrom } from './instances.js';

describe('REEF_INSTANCES', () => {
  test('asks for one of each where it is absent or empty', () => {
    for (const text of [undefined, '', ' , '])
      expect(new Set(Object.values(instancesFrom(text)))).toEqual(new Set([1]));
  });

  test('names some services, and the others stay alone', () => {
    expect(instancesFrom('budgets=3, dispatch=9')).toMatchObject({
      budgets: 3,
      dispatch: 9,
      identity: 1,
      telemetry: 1,
    });
  });

  test.each([
    ['budget=3', 'there is no service "budget"; there are identity, budgets, dispatch, memory, telemetry'],
    ['nats=3', 'there is no service "nats"'],
    ['toString=2', 'is not of the form budgets=3'],
    ['constructor=2', 'there is no service "constructor"'],
    ['workspace=2', 'workspace runs once, since its files have one keeper at a time'],
    ['edge=2', 'edge runs once'],
    ['budgets=0', 'budgets may have 1 to 9 instances, not 0'],
    ['budgets=10', 'budgets may have 1 to 9 instances, not 10'],
    ['budgets=2,budgets=3', 'budgets is named twice'],
    ['budgets', '"budgets" is not of the form budgets=3'],
    ['budgets=-1', '"budgets=-1" is not of the form budgets=3'],
  ])('%s is refused, and it says why', (text, reason) => {
    expect(() => instancesFrom(text)).toThrow(reason);
  });

  test('the first instance has the service’s own name', () => {
    expect(instanceNames('budgets', 1)).toEqual(['budgets']);
    expect(instanceNames('budgets', 3)).toEqual(['budgets', 'budgets-2', 'budgets-3']);
  });
});
