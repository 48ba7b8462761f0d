import { describe, test } from '@jest/globals';
import { scenario } from '@reef/testing';
import { type EmailCommand, emailDecider, type EmailEvent } from './email.js';

const given = scenario(emailDecider);

const NOON_MS = Date.parse('2026-11-01T12:00:00.000Z');
const MINUTE_MS = 60_000;
const claimed: EmailEvent = { type: 'EmailClaimed', data: { userId: 'ada' } };
const failed = (atMs: number, userId: string | null = 'ada'): EmailEvent => ({
  type: 'LoginFailed',
  data: { userId, failedAt: new Date(atMs).toISOString() },
});
const failures = (count: number, everyMs = 0, userId: string | null = 'ada') =>
  Array.from({ length: count }, (_, index) => failed(NOON_MS + index * everyMs, userId));
const admit = (nowMs: number): EmailCommand => ({ type: 'admit', data: { nowMs } });
const fail = (nowMs: number): EmailCommand => ({ type: 'recordFailure', data: { nowMs } });

describe('claiming an address', () => {
  const claim: EmailCommand = { type: 'claim', data: { userId: 'ada' } };

  test('gives it to the first', () => given().when(claim).then(claimed));

  test('refuses the second', () => given(claimed).when(claim).refuses('email_taken'));

  test('is open to the owner of an address that somebody tried in vain', () =>
    given(...failures(3, 0, null))
      .when(claim)
      .then(claimed));
});

describe('guessing passwords', () => {
  test('nine failures do not lock', () =>
    given(claimed, ...failures(9))
      .when(admit(NOON_MS))
      .nothing());

  test('the tenth failure is counted', () =>
    given(claimed, ...failures(9))
      .when(fail(NOON_MS))
      .then(failed(NOON_MS)));

  test('ten failures lock, and say until when', () =>
    given(claimed, ...failures(10))
      .when(admit(NOON_MS + 1))
      .refuses('locked', { until: '2026-11-01T12:15:00.000Z' }));

  test('while locked no further failure is counted', () =>
    given(claimed, ...failures(10))
      .when(fail(NOON_MS + MINUTE_MS))
      .refuses('locked'));

  test('the lock ends fifteen minutes after the last failure, not a millisecond before', () => {
    given(claimed, ...failures(10))
      .when(admit(NOON_MS + 15 * MINUTE_MS - 1))
      .refuses('locked');
    given(claimed, ...failures(10))
      .when(admit(NOON_MS + 15 * MINUTE_MS))
      .nothing();
  });

  test('ten failures over fifteen minutes lock', () => {
    const slowly = (15 * MINUTE_MS) / 9;
    given(claimed, ...failures(10, slowly))
      .when(admit(NOON_MS + 15 * MINUTE_MS))
      .refuses('locked');
  });

  test('ten failures over more than fifteen minutes do not', () => {
    const moreSlowly = (15 * MINUTE_MS) / 9 + 1;
    given(claimed, ...failures(10, moreSlowly))
      .when(admit(NOON_MS + 16 * MINUTE_MS))
      .nothing();
  });

  test('after a lock has ended, one failure does not lock again', () =>
    given(claimed, ...failures(10), failed(NOON_MS + 16 * MINUTE_MS))
      .when(admit(NOON_MS + 16 * MINUTE_MS))
      .nothing());

  test('an address without an account locks in the same way', () => {
    given(...failures(9, 0, null))
      .when(fail(NOON_MS))
      .then(failed(NOON_MS, null));
    given(...failures(10, 0, null))
      .when(fail(NOON_MS))
      .refuses('locked');
  });
});
