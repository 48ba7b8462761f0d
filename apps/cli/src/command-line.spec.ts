import { describe, expect, test } from '@jest/globals';
import { parseCommand, UsageError } from './command-line.js';

describe('the command line', () => {
  test.each([
    [[], { name: 'help' }],
    [['up'], { name: 'up', detach: false, fresh: false, json: false }],
    [['up', '--detach', '--fresh', '--json'], { name: 'up', detach: true, fresh: true, json: true }],
    [['status', '--json'], { name: 'status', json: true }],
    [['logs', 'budgets'], { name: 'logs', service: 'budgets', follow: false }],
    [['chat', '--agent', 'ada', 'hello', 'there'], { name: 'chat', agent: 'ada', message: 'hello there' }],
    [['test'], { name: 'test', heights: ['unit', 'int', 'e2e'] }],
    [['test', 'int'], { name: 'test', heights: ['int'] }],
    [['replay', '--service', 'memory', '--check'], { name: 'replay', service: 'memory', check: true, json: false }],
    [['replay', '--json'], { name: 'replay', service: undefined, check: false, json: true }],
    [['bench', 'start', '--json'], { name: 'bench', bench: 'start', json: true }],
    [['up', '--help'], { name: 'help' }],
  ])('%j is understood', (words, command) => {
    expect(parseCommand(words)).toEqual(command);
  });

  test.each([
    [['upp'], 'there is no command "upp"'],
    [['constructor'], 'there is no command "constructor"'],
    [['up', '--detatch'], "up: Unknown option '--detatch'"],
    [['up', 'now'], '"now" is one word too many for up'],
    [['logs', 'edge', 'budgets'], '"budgets" is one word too many for logs'],
    [['test', 'units'], '"units" is none of unit, int, e2e'],
    [['chat', ' '], 'say something'],
    [['replay', '--service'], "replay: Option '--service <value>' argument missing"],
  ])('%j is refused, and says why', (words, reason) => {
    expect(() => parseCommand(words)).toThrow(UsageError);
    expect(() => parseCommand(words)).toThrow(reason);
  });
});
