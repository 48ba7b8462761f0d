import { describe, expect, test } from '@jest/globals';
import { type Call, type CallEvent, callOf, joinCalls } from './call.js';

const rent = '0198f000-0000-7000-8000-000000000001';
const attribution = {
  turnId: '0198f000-0000-7000-8000-0000000000aa',
  agent: 'main',
  user: 'ada',
  session: 'agent:main:openai-user:ada',
  keyId: null,
  model: 'openai/gpt-5',
  source: 'chat',
} as const;
const usage = (outputTokens: number) => ({
  inputTokens: 100,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  cacheWrite1hTokens: 0,
  outputTokens,
  reasoningTokens: 0,
});
const price = { model: 'openai/gpt-5', inputPico: 1n, cacheReadPico: 1n, cacheWritePico: 1n, outputPico: 4n };
const base = { reservationId: rent, attribution, heldPico: 900n, reservedAt: '2026-11-22T10:00:00.000Z' };

const reserved: CallEvent = {
  type: 'Reserved',
  data: {
    ...base,
    price,
    priceVersion: 1,
    firstOfTurn: true,
    inputTokensMax: 100,
    outputTokensMax: 200,
    worker: 'one',
    expiresAt: '2026-11-22T10:00:09.000Z',
  },
};
const released: CallEvent = { type: 'Released', data: { ...base, releasedAt: '2026-11-22T10:00:01.000Z' } };
const expired: CallEvent = {
  type: 'ReservationExpired',
  data: { ...base, usage: usage(200), costPico: 900n, priceVersion: 1, expiredAt: '2026-11-22T10:00:09.000Z' },
};
const settled = (costPico: bigint, settledAt = '2026-11-22T10:00:05.000Z'): CallEvent => ({
  type: 'Settled',
  data: {
    ...base,
    outcome: 'completed',
    usage: usage(50),
    costPico,
    estimated: false,
    providerExcessTokens: 0,
    priceVersion: 1,
    settledAt,
  },
});

const adjusted: CallEvent = {
  type: 'SettlementAdjusted',
  data: {
    ...base,
    usage: usage(50),
    costPico: 300n,
    estimatedPico: 900n,
    bookedPico: -600n,
    bookedTokens: -150,
    priceVersion: 1,
    adjustedAt: '2026-11-22T10:00:12.000Z',
  },
};

const foldedInEveryOrder = (...events: CallEvent[]): Call[] =>
  permutations(events).map((order) => order.map(callOf).reduce(joinCalls));

describe('what is known of a model call', () => {
  test('the truth about a call that was charged by estimate holds, whenever it is heard', () => {
    for (const call of foldedInEveryOrder(reserved, expired, adjusted)) {
      expect(call.charge).toEqual({ costPico: 300n, usage: usage(50), estimated: false });
    }
  });

  test('a reservation holds money and costs nothing yet', () => {
    expect(callOf(reserved)).toMatchObject({ heldPico: 900n, standing: 0, charge: null });
  });

  test('a settlement decides the cost, before or after its reservation', () => {
    for (const call of foldedInEveryOrder(reserved, settled(300n))) {
      expect(call).toMatchObject({ standing: 3, charge: { costPico: 300n, estimated: false } });
    }
  });

  test('a settlement replaces the estimate of an expiry, although the expiry came later', () => {
    for (const call of foldedInEveryOrder(reserved, expired, settled(300n))) {
      expect(call).toMatchObject({ standing: 3, charge: { costPico: 300n, estimated: false } });
    }
  });

  test('an expiry charges the bound and says that it is an estimate', () => {
    for (const call of foldedInEveryOrder(expired, reserved)) {
      expect(call).toMatchObject({ standing: 2, charge: { costPico: 900n, estimated: true } });
    }
  });

  test('a released reservation costs nothing, whatever arrives after it', () => {
    for (const call of foldedInEveryOrder(released, reserved))
      expect(call).toMatchObject({ standing: 1, charge: null });
  });

  test('of two settlements the later holds, and at the same instant the dearer, in every order', () => {
    const later = settled(200n, '2026-11-22T10:00:06.000Z');
    for (const call of foldedInEveryOrder(settled(300n), later, settled(400n))) {
      expect(call.charge?.costPico).toBe(200n);
    }
    for (const call of foldedInEveryOrder(settled(300n), settled(400n))) expect(call.charge?.costPico).toBe(400n);
  });

  test('hearing it twice changes nothing', () => {
    const once = joinCalls(callOf(reserved), callOf(settled(300n)));
    expect(joinCalls(once, callOf(settled(300n)))).toEqual(once);
    expect(joinCalls(once, callOf(reserved))).toEqual(once);
  });
});

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length <= 1) return [[...items]];
  return items.flatMap((item, at) => permutations(items.toSpliced(at, 1)).map((rest) => [item, ...rest]));
}
