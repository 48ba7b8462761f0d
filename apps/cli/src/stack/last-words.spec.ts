import { describe, expect, test } from '@jest/globals';
import { readable } from './last-words.js';

const line = (fields: object) => JSON.stringify({ time: '2026-01-01T00:00:00.000Z', service: 'dispatch', ...fields });
const err = (message: string, more = {}) => ({ type: 'Error', message, stack: '    at here', ...more });

describe('the last words of a service', () => {
  test('are the reason it gave for giving up, and nothing of what came before', () => {
    const words = [
      line({ level: 'error', err: err('first seen here'), msg: 'nest' }),
      line({
        level: 'fatal',
        err: err('the environment is not complete:\n  NATS_URL: missing'),
        msg: 'could not serve',
      }),
    ];
    expect(readable(words.join('\n'))).toBe('the environment is not complete:\n  NATS_URL: missing');
  });

  test('are the last reason when it gave several', () => {
    const words = [1, 2].map((attempt) => line({ level: 'fatal', err: err(`attempt ${attempt}`), msg: 'x' }));
    expect(readable(words.join('\n'))).toBe('attempt 2');
  });

  test('name the code of an error that says nothing, else the line itself', () => {
    expect(readable(line({ level: 'fatal', err: err('', { code: 'ECONNREFUSED' }), msg: 'x' }))).toBe('ECONNREFUSED');
    expect(readable(line({ level: 'fatal', msg: 'another instance owns the files now' }))).toBe(
      'another instance owns the files now',
    );
  });

  test('are every line, in plain words, when it gave no reason', () => {
    const words = [
      '","msg":"the end of a line that was cut"}',
      line({ level: 'warn', msg: 'a reservation is late', err: err('timeout') }),
      line({ level: 'info', msg: 'dispatch is serving' }),
      'Error: Cannot find package',
    ];
    expect(readable(words.join('\n'))).toBe(
      '","msg":"the end of a line that was cut"}\nwarn: a reservation is late: timeout\ninfo: dispatch is serving\nError: Cannot find package',
    );
  });
});
