import { describe, expect, test } from '@jest/globals';
import { refused, retryHeaders } from '../http/refusals.js';
import { refusalHeaders } from './admission-headers.js';
import { failureOf } from './run-turn.js';

const ofMonth = { scope: 'tenant', scopeId: null, window: 'month', unit: 'usd', name: 'usd|month|tenant' };
const message = "what is left of the tenant's month limit in usd is too little";

describe('a budget that is used up', () => {
  test('says what is left, in USD as decimal text', () => {
    const details = { ...ofMonth, cap: '5000000000000', left: '250000000', windowEndsAt: null };
    const { name: _ours, ...shown } = { ...details, cap: '5', left: '0.00025' };
    expect(failureOf({ code: 'budget_exhausted', message, details })).toEqual({
      ok: false,
      code: 'budget_exhausted',
      message: `${message}: 0.00025 of 5 USD is left`,
      details: shown,
    });
  });

  test('says what would have been needed, where that is known', () => {
    const details = { ...ofMonth, unit: 'tokens', cap: '1000', left: '100', needed: '164' };
    expect(failureOf({ code: 'budget_exhausted', message, details })).toMatchObject({
      message: `${message}: 164 tokens would be needed, 100 of 1000 tokens is left`,
      details: { cap: '1000', left: '100', needed: '164' },
    });
  });

  test('is passed on as it is where its numbers are not known', () =>
    expect(failureOf({ code: 'budget_exhausted', message, details: { cap: '5' } })).toMatchObject({
      message,
      details: { cap: '5' },
    }));

  test('shows its pressure, and is not to be tried again', () => {
    const refusal = refused('budget_exhausted', message);
    expect({ ...refusalHeaders(refusal), ...retryHeaders(refusal) }).toEqual({
      'x-reef-pressure': 'refused',
      'x-should-retry': 'false',
    });
  });
});

describe('a call that is held back', () => {
  test('near a cap says how near, and when to come again', () => {
    const refusal = refused('paced', 'held back', { step: 'paced', utilisation: 0.875, retryAfterMs: 1_500 });
    expect({ ...refusalHeaders(refusal), ...retryHeaders(refusal) }).toEqual({
      'x-reef-pressure': 'paced',
      'x-reef-utilisation': '0.875',
      'retry-after': '2',
      'retry-after-ms': '1500',
    });
  });

  test('by a rate says which, and when something of it is free', () => {
    const refusal = refused('rate_limited', 'the plan allows 60', {
      rate: 'requestsPerMinute',
      cap: 60,
      retryAfterMs: 12_300,
    });
    expect({ ...refusalHeaders(refusal), ...retryHeaders(refusal) }).toEqual({
      'x-ratelimit-limit-requests': '60',
      'x-ratelimit-remaining-requests': '0',
      'x-ratelimit-reset-requests': '13s',
      'retry-after': '13',
      'retry-after-ms': '12300',
    });
  });

  test('by the rate of tokens does not say that none is left', () => {
    const details = { rate: 'tokensPerMinute', cap: 1_000, retryAfterMs: 100 };
    expect(refusalHeaders(refused('rate_limited', 'the plan allows 1000', details))).toEqual({
      'x-ratelimit-limit-tokens': '1000',
      'x-ratelimit-reset-tokens': '1s',
    });
  });

  test('by the number of turns says how many there may be, for nobody knows when one ends', () => {
    const details = { rate: 'concurrentTurns', cap: 5, retryAfterMs: 1_000 };
    expect(refusalHeaders(refused('rate_limited', 'the plan allows 5', details))).toEqual({
      'x-ratelimit-limit-turns': '5',
      'x-ratelimit-remaining-turns': '0',
    });
  });

  test('for ever, because it is larger than a minute’s tokens, says how large it may be', () => {
    const refusal = refused('call_too_large', 'too large', { rate: 'tokensPerMinute', cap: 1_000 });
    expect({ ...refusalHeaders(refusal), ...retryHeaders(refusal) }).toEqual({ 'x-ratelimit-limit-tokens': '1000' });
  });

  test('for another reason carries none of it', () =>
    expect(refusalHeaders(refused('session_queue_full', 'full', { rate: 'requestsPerMinute', cap: 1 }))).toEqual({}));
});
