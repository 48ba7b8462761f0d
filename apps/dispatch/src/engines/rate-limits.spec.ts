import { expect, test } from '@jest/globals';
import { rateLimitsOf, retryAfter } from './rate-limits.js';

const nowMs = Date.parse('2026-11-22T12:00:00Z');
const report = (headers: Record<string, string>, status = 200) => rateLimitsOf(headers, status, nowMs);

test('a provider that says nothing is not throttling', () => {
  expect(report({})).toEqual({ throttled: false });
});

test.each([
  [429, true],
  [503, true],
  [529, true],
  [500, false],
  [200, false],
])('status %i says throttled: %s', (status, throttled) => {
  expect(report({}, status).throttled).toBe(throttled);
});

test('OpenAI tells what remains, and when it is whole again', () => {
  const headers = {
    'x-ratelimit-remaining-requests': '59',
    'x-ratelimit-reset-requests': '1m30.5s',
    'x-ratelimit-remaining-tokens': '149984',
    'x-ratelimit-reset-tokens': '6m0s',
  };
  const resetAtMs = nowMs + 90_500;
  expect(report(headers)).toEqual({ throttled: false, remainingRequests: 59, remainingTokens: 149_984, resetAtMs });
});

test('what is used up says when it is whole again, whatever else resets', () => {
  const headers = {
    'x-ratelimit-remaining-requests': '59',
    'x-ratelimit-reset-requests': '1h',
    'x-ratelimit-remaining-tokens': '0',
    'x-ratelimit-reset-tokens': '20ms',
  };
  expect(report(headers).resetAtMs).toBe(nowMs + 20);
});

test('Anthropic names the time, others the seconds', () => {
  const anthropic = {
    'anthropic-ratelimit-requests-remaining': '3',
    'anthropic-ratelimit-requests-reset': '2026-11-22T12:00:07Z',
  };
  expect(report(anthropic)).toEqual({ throttled: false, remainingRequests: 3, resetAtMs: nowMs + 7_000 });
  expect(report({ 'x-ratelimit-reset-requests': '7' }).resetAtMs).toBe(nowMs + 7_000);
});

test('what is no number and no time is passed over', () => {
  const headers = {
    'x-ratelimit-remaining-requests': '-1',
    'x-ratelimit-remaining-tokens': 'many',
    'x-ratelimit-reset-requests': 'soon',
    'retry-after': 'later',
  };
  expect(report(headers)).toEqual({ throttled: false });
});

test.each([
  [{ 'retry-after-ms': '120', 'retry-after': '7' }, 120],
  [{ 'retry-after': '7' }, 7_000],
  [{ 'retry-after': 'Sun, 22 Nov 2026 12:00:09 GMT' }, 9_000],
  [{ 'retry-after': 'Sun, 22 Nov 2026 11:00:00 GMT' }, 0],
  [{}, undefined],
])('%j means a wait of %s ms', (headers, waitMs) => {
  expect(retryAfter(headers, nowMs)).toBe(waitMs);
});
