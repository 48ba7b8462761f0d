import { createHmac } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { attemptsMaxOf, verdictOf } from './attempts.js';
import { thresholdMessage } from './messages.js';
import { newSecret, signedHeaders } from './signing.js';

const crossed = {
  scope: 'tenant',
  scopeId: null,
  window: 'month',
  windowKey: '2026-11',
  windowEndsAt: '2026-12-01T00:00:00.000Z',
  unit: 'usd',
  thresholdPercent: 80,
  cap: 5_000_000_000_000n,
  posted: 4_000_000_000_001n,
  hard: true,
  crossedAt: '2026-11-22T12:00:00.000Z',
} as const;

test('a threshold is told with its time, and money as decimal text', () => {
  const { messageId, body } = thresholdMessage('e1', 'acme', crossed);
  expect(messageId).toBe('msg_e1');
  expect(JSON.parse(body)).toEqual({
    type: 'budget.threshold',
    timestamp: '2026-11-22T12:00:00.000Z',
    data: {
      tenant: 'acme',
      scope: 'tenant',
      scopeId: null,
      window: 'month',
      windowKey: '2026-11',
      windowEndsAt: '2026-12-01T00:00:00.000Z',
      unit: 'usd',
      thresholdPercent: 80,
      cap: '5',
      posted: '4.000000000001',
      hard: true,
    },
  });
});

test('tokens are told as whole numbers', () => {
  const { body } = thresholdMessage('e1', 'acme', { ...crossed, unit: 'tokens', cap: 1_000n, posted: 800n });
  expect(JSON.parse(body)).toMatchObject({ data: { cap: '1000', posted: '800' } });
});

test('a message is signed as the specification’s own example is', () => {
  const headers = signedHeaders('msg_p5jXN8AQM9LWM0D4loKWxJek', 1_614_265_330_000, '{"test": 2432232314}', [
    'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  ]);
  expect(headers).toEqual({
    'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  });
});

test('a message is signed with every secret that may check it, and each key has 256 bits', () => {
  const [first, second] = [newSecret(), newSecret()];
  const { 'webhook-signature': signatures } = signedHeaders('msg_1', 1_000, '{}', [first, second]);
  const expected = [first, second].map((secret) => {
    const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
    expect(key).toHaveLength(32);
    return `v1,${createHmac('sha256', key).update('msg_1.1.{}').digest('base64')}`;
  });
  expect(signatures?.split(' ')).toEqual(expected);
});

test.each([200, 202, 204, 299])('a message that is answered with %d is delivered', (status) =>
  expect(verdictOf('budget.threshold', 1, { status }, 0.5)).toEqual({ status: 'delivered' }),
);

test.each([199, 300, 302, 304, 400, 401, 404, 409, 429, 500, 503])(
  'a message that is answered with %d is sent again',
  (status) => expect(verdictOf('budget.threshold', 1, { status }, 0.5)).toEqual({ status: 'waiting', pauseMs: 5_000 }),
);

test('an endpoint that is gone for good is not asked again', () =>
  expect(verdictOf('budget.threshold', 1, { status: 410 }, 0.5)).toEqual({ status: 'failed' }));

test('the pauses grow from seconds to hours, and the sixth attempt is the last', () => {
  const pauses = [1, 2, 3, 4, 5].map((attempt) => verdictOf('budget.threshold', attempt, { failure: 'timeout' }, 0.5));
  expect(pauses).toEqual(
    [5_000, 60_000, 600_000, 3_600_000, 21_600_000].map((pauseMs) => ({ status: 'waiting', pauseMs })),
  );
  expect(attemptsMaxOf('budget.threshold')).toBe(6);
  // The seventh: the process of the sixth died before it could say how it went.
  for (const attempt of [6, 7])
    expect(verdictOf('budget.threshold', attempt, { status: 500 }, 0.5)).toEqual({ status: 'failed' });
});

test('a pause is up to a fifth shorter or longer, by chance', () => {
  const pauseMs = (chance: number) => verdictOf('budget.threshold', 1, { status: 500 }, chance);
  expect([pauseMs(0), pauseMs(1)]).toEqual([4_000, 6_000].map((pause) => ({ status: 'waiting', pauseMs: pause })));
});

test('a test is tried once', () =>
  expect(verdictOf('webhook.test', 1, { status: 500 }, 0.5)).toEqual({ status: 'failed' }));
