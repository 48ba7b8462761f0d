import { describe, expect, test } from '@jest/globals';
import { scenario } from '@reef/testing';
import { type Budget, budget, EXPIRED_AT_ONCE_MAX, freedBy, HOLD_LASTS_MAX_MS } from './budget.js';
import { ENDINGS_MIN, type OpenBudget } from './open-budget.js';
import {
  attributionOf,
  crossed,
  expire,
  idOf,
  limitOf,
  limitsSet,
  NOON,
  NOON_MS,
  open as openBooks,
  opened,
  PRICE,
  release,
  reserve,
  reserved,
  setLimits,
  settle,
  settled,
  usageOf,
} from '../../test/builders.js';
import { entriesOf, get } from './dictionary.js';
import { fold } from '@reef/eventing/pure';
import { standings } from './standing.js';

const given = scenario(budget);
const usd = (cap: bigint) => limitOf({ cap });
const minuteLater = NOON_MS + 60_000;

function open(state: Budget): OpenBudget {
  if (state.status === 'unopened') throw new Error('not opened');
  return state;
}

function carryOf(state: Budget) {
  const { carried, carriedHolds } = open(state).closing!;
  return { carried: { ...carried }, carriedHolds: [...carriedHolds] };
}

const standingOf = (state: Budget, atMs = NOON_MS) => standings(open(state), atMs);

describe('reserving', () => {
  test('before the month is opened is refused, so that the caller opens it', () =>
    given()
      .when(reserve('rent', [100, 90]))
      .refuses('window_unopened'));

  test('sets the upper bound aside', () =>
    given(opened([usd(1_000n)]))
      .when(reserve('rent', [100, 90]))
      .then(reserved('rent', [100, 90])));

  test('takes the whole of what is left, and not one pico-USD more', () => {
    const left500 = [opened([usd(1_500n)]), reserved('rent', [100, 90])];
    given(...left500)
      .when(reserve('food', [80, 42]))
      .then(reserved('food', [80, 42]));
    given(...left500)
      .when(reserve('food', [81, 42]))
      .refuses('budget_exhausted', {
        scope: 'tenant',
        window: 'month',
        unit: 'usd',
        cap: '1500',
        left: '500',
        windowEndsAt: '2026-12-01T00:00:00.000Z',
      });
  });

  test('what was settled below its bound is left for others', () =>
    given(opened([usd(1_000n)]), reserved('rent', [100, 90]), settled('rent', [100, 20]))
      .when(reserve('food', [0, 70]))
      .then(reserved('food', [0, 70])));

  test('is clamped to the output tokens that fit, if those are useful', () => {
    given(opened([usd(740n)]))
      .when(reserve('rent', [100, 200]))
      .then(reserved('rent', [100, 64]));
    given(opened([usd(739n)]))
      .when(reserve('rent', [100, 200]))
      .refuses('budget_exhausted', { left: '739' });
  });

  test('of fewer tokens than are useful must fit whole', () => {
    given(opened([usd(200n)]))
      .when(reserve('rent', [100, 10]))
      .then(reserved('rent', [100, 10]));
    given(opened([usd(199n)]))
      .when(reserve('rent', [100, 10]))
      .refuses('budget_exhausted');
  });

  test('counts input at its dearest, since nobody knows what will be cached', () => {
    const price = { ...PRICE, cacheWritePico: 3n };
    given(opened([usd(1_000n)]))
      .when(reserve('rent', [100, 70], { price }))
      .then(reserved('rent', [100, 70], { price, heldPico: 1_000n }));
    given(opened([usd(999n)]))
      .when(reserve('rent', [100, 70], { price }))
      .then(reserved('rent', [100, 69], { price, heldPico: 990n }));
  });

  test('is checked against all limits together; the tightest clamps', () =>
    given(opened([usd(10_000n), limitOf({ unit: 'tokens', window: 'day', cap: 200n })]))
      .when(reserve('rent', [100, 500]))
      .then(reserved('rent', [100, 100])));

  test('counts a turn as one message, and each of its calls as a request', () => {
    const limits = [limitOf({ unit: 'messages', cap: 1n }), limitOf({ unit: 'requests', cap: 2n })];
    const once = [opened(limits), reserved('first', [1, 64])];
    given(...once)
      .when(reserve('second', [1, 64]))
      .refuses('budget_exhausted', { unit: 'messages', left: '0' });
    const within = { firstOfTurn: false };
    given(...once)
      .when(reserve('second', [1, 64], within))
      .then(reserved('second', [1, 64], within));
    given(...once, reserved('second', [1, 64], within))
      .when(reserve('third', [1, 64], within))
      .refuses('budget_exhausted', { unit: 'requests', left: '0' });
  });

  test('is narrowed by a limit on one agent for that agent only', () => {
    const limits = [usd(10_000n), limitOf({ scope: 'agent', scopeId: 'main', cap: 1_000n })];
    const spent = [opened(limits), reserved('rent', [100, 90])];
    given(...spent)
      .when(reserve('food', [0, 64]))
      .refuses('budget_exhausted', { scope: 'agent', scopeId: 'main' });
    const attribution = attributionOf({ agent: 'other' });
    given(...spent)
      .when(reserve('food', [0, 64], { attribution }))
      .then(reserved('food', [0, 64], { attribution }));
  });

  test('a limit on each user counts users apart, and nobody who is not a user', () => {
    const spent = [opened([limitOf({ scope: 'user', scopeId: '*', cap: 1_000n })]), reserved('rent', [100, 90])];
    given(...spent)
      .when(reserve('food', [0, 64]))
      .refuses('budget_exhausted', { scope: 'user', scopeId: '*' });
    for (const user of ['grace', null]) {
      const attribution = attributionOf({ user });
      given(...spent)
        .when(reserve('food', [0, 64], { attribution }))
        .then(reserved('food', [0, 64], { attribution }));
    }
  });

  test('a limit on each and one on somebody share what is counted, and both hold', () => {
    const each = limitOf({ scope: 'agent', scopeId: '*', window: 'day', cap: 2_000n });
    const main = { ...each, scopeId: 'main', cap: 1_640n };
    const spent = [opened([each, main]), reserved('rent', [100, 90])];
    given(...spent)
      .when(reserve('food', [0, 64]))
      .then(reserved('food', [0, 64]));
    given(...spent)
      .when(reserve('food', [1, 64]))
      .refuses('budget_exhausted', { scopeId: 'main', left: '640' });
  });

  test('is not refused by a soft limit', () =>
    given(opened([limitOf({ cap: 1n, hard: false })]))
      .when(reserve('rent', [100, 90]))
      .then(reserved('rent', [100, 90])));

  test('that costs nothing fits a budget that is spent', () => {
    const price = { ...PRICE, inputPico: 0n, cacheReadPico: 0n, cacheWritePico: 0n, outputPico: 0n };
    given(opened([usd(0n)]))
      .when(reserve('rent', [100, 90], { price }))
      .then(reserved('rent', [100, 90], { price, heldPico: 0n }));
  });

  test('an hour later there is a new hour to spend', () => {
    const spent = [opened([limitOf({ window: 'hour' })]), reserved('rent', [100, 90])];
    given(...spent)
      .when(reserve('food', [0, 64], { nowMs: NOON_MS + 3_599_999 }))
      .refuses('budget_exhausted', {
        windowEndsAt: '2026-11-22T13:00:00.000Z',
      });
    const reservedAt = '2026-11-22T13:00:00.000Z';
    given(...spent)
      .when(reserve('food', [0, 64], { nowMs: NOON_MS + 3_600_000, expiresAt: '2026-11-22T13:01:00.000Z' }))
      .then(reserved('food', [0, 64], { reservedAt, expiresAt: '2026-11-22T13:01:00.000Z' }));
  });

  test('twice under one id holds once', () =>
    given(opened([usd(1_000n)]), reserved('rent', [100, 90]))
      .when(reserve('rent', [100, 90]))
      .nothing());

  test('again for more than was granted is still the same call', () =>
    given(opened([usd(1_000n)]), reserved('rent', [100, 90]))
      .when(reserve('rent', [100, 400]))
      .nothing());

  test('another call under an id that is taken or spent is refused', () => {
    const held = [opened([usd(5_000n)]), reserved('rent', [100, 90])];
    given(...held)
      .when(reserve('rent', [101, 90]))
      .refuses('reservation_reused');
    given(...held, settled('rent', [100, 90]))
      .when(reserve('rent', [100, 90]))
      .refuses('reservation_reused');
  });

  test('lasts a day at most', () =>
    given(opened([usd(1_000n)]))
      .when(reserve('rent', [100, 90], { expiresAt: '2027-11-22T12:00:00Z' }))
      .then(reserved('rent', [100, 90], { expiresAt: new Date(NOON_MS + HOLD_LASTS_MAX_MS).toISOString() })));
});

describe('settling', () => {
  const held = [opened([usd(1_000n)]), reserved('rent', [100, 90])];

  test('books what was really used and frees the rest', () => {
    given(...held)
      .when(settle('rent', [80, 10]))
      .then(settled('rent', [80, 10]));
    expect(standingOf(given(...held, settled('rent', [80, 10])).state)).toMatchObject([
      { posted: 180n, held: 0n, left: 820n },
    ]);
  });

  test('prices each kind of token by the price of the reservation', () => {
    const price = { ...PRICE, inputPico: 2n, cacheReadPico: 3n, cacheWritePico: 5n, outputPico: 7n };
    const usage = {
      inputTokens: 10,
      cacheReadTokens: 20,
      cacheWriteTokens: 30,
      cacheWrite1hTokens: 0,
      outputTokens: 40,
      reasoningTokens: 50,
    };
    given(opened([usd(10_000n)]), reserved('rent', [100, 90], { price, heldPico: 1_130n, priceVersion: 4 }))
      .when(settle('rent', null, { usage }))
      .then(settled('rent', [0, 0], { usage, costPico: 20n + 60n + 150n + 630n, heldPico: 1_130n, priceVersion: 4 }));
  });

  test('twice books once', () =>
    given(...held, settled('rent', [80, 10]))
      .when(settle('rent', [80, 10]))
      .nothing());

  test('without usage charges the input bound and the output that was seen', () =>
    given(...held)
      .when(settle('rent', null, { outcome: 'cancelled', outputTokensSeen: 7 }))
      .then(settled('rent', [100, 7], { outcome: 'cancelled', estimated: true })));

  test('more than the bound is booked, and told', () => {
    const excess = settled('rent', [103, 95], { providerExcessTokens: 8 });
    const told = (thresholdPercent: 50 | 80 | 90 | 100) => crossed({ thresholdPercent, cap: 1_000n, posted: 1_053n });
    given(...held)
      .when(settle('rent', [103, 95]))
      .then(excess, told(50), told(80), told(90), told(100));
    expect(standingOf(given(...held, excess).state)).toMatchObject([{ posted: 1_053n, held: 0n, left: 0n }]);
  });

  test('counts in the window of the reservation, however late it comes', () => {
    const limits = [limitOf({ window: 'hour' })];
    const nowMs = NOON_MS + 2 * 3_600_000;
    const settledAt = new Date(nowMs).toISOString();
    const late = given(opened(limits), reserved('rent', [100, 90]), settled('rent', [80, 10], { settledAt }));
    expect(standingOf(late.state, NOON_MS)).toMatchObject([{ posted: 180n }]);
    expect(standingOf(late.state, nowMs)).toMatchObject([{ posted: 0n, left: 1_000n }]);
  });

  test('what was never reserved is unknown', () =>
    given(...held)
      .when(settle('food', [1, 1]))
      .refuses('reservation_unknown'));

  test(`the newest ${ENDINGS_MIN} endings are remembered, and not all of them`, () => {
    let { state } = given(opened([usd(10n ** 12n)]));
    for (let call = 0; call < 3 * ENDINGS_MIN; call++) {
      state = fold(budget, state, [reserved(call, [100, 90]), settled(call, [100, 90])]);
      const oldest = Math.max(0, call + 1 - ENDINGS_MIN);
      expect(budget.decide(settle(oldest, [100, 90]), state)).toEqual([]);
    }
    expect(open(state).endings.size + open(state).olderEndings.size).toBeLessThanOrEqual(2 * ENDINGS_MIN);
    expect(budget.decide(settle(0, [100, 90]), state)).toMatchObject({ code: 'reservation_unknown' });
  });
});

describe('releasing', () => {
  const held = [opened([usd(1_000n)]), reserved('rent', [100, 90])];
  const released = {
    type: 'Released',
    data: {
      reservationId: idOf('rent'),
      attribution: attributionOf(),
      heldPico: 1_000n,
      reservedAt: NOON,
      releasedAt: NOON,
    },
  } as const;

  test('frees everything, once', () => {
    given(...held)
      .when(release('rent'))
      .then(released);
    given(...held, released)
      .when(release('rent'))
      .nothing();
    given(...held, released)
      .when(reserve('food', [100, 90]))
      .then(reserved('food', [100, 90]));
  });

  test('comes too late for what is charged', () =>
    given(...held, settled('rent', [80, 10]))
      .when(release('rent'))
      .refuses('already_settled'));

  test('ends a reservation: it cannot be settled any more', () =>
    given(...held, released)
      .when(settle('rent', [80, 10]))
      .refuses('reservation_unknown'));
});

describe('expiry', () => {
  const held = [opened([usd(5_000n)]), reserved('rent', [100, 90])];

  test('charges the input bound, by estimate, from the moment on that was agreed', () => {
    given(...held)
      .when(expire(minuteLater - 1))
      .nothing();
    given(...held)
      .when(expire(minuteLater))
      .then({
        type: 'ReservationExpired',
        data: {
          reservationId: idOf('rent'),
          attribution: attributionOf(),
          usage: usageOf(100, 0),
          heldPico: 1_000n,
          costPico: 100n,
          priceVersion: 1,
          reservedAt: NOON,
          expiredAt: new Date(minuteLater).toISOString(),
        },
      });
  });

  test(`charges ${EXPIRED_AT_ONCE_MAX} at once at most, the oldest first`, () => {
    const many = Array.from({ length: EXPIRED_AT_ONCE_MAX + 1 }, (_, call) =>
      reserved(call, [1, 1], { expiresAt: new Date(minuteLater - call).toISOString() }),
    );
    const expired = budget.decide(expire(minuteLater), given(opened([]), ...many).state);
    if (!Array.isArray(expired)) throw new Error('refused');
    expect(expired).toHaveLength(EXPIRED_AT_ONCE_MAX);
    expect(expired).not.toContainEqual(
      expect.objectContaining({ data: expect.objectContaining({ reservationId: idOf(0) }) }),
    );
  });
});

describe('setting limits', () => {
  test('replaces them; what is spent stays spent', () => {
    const spent = [opened([usd(1_000n)]), reserved('rent', [100, 90]), settled('rent', [100, 90])];
    const lower = limitsSet(usd(900n));
    given(...spent)
      .when(setLimits(usd(900n)))
      .then(lower);
    expect(standingOf(given(...spent, lower).state)).toMatchObject([{ posted: 1_000n, cap: 900n, left: 0n }]);
  });

  test('a new limit on the tenant knows what was spent before it', () => {
    const set = limitsSet(limitOf({ window: 'total', unit: 'requests' }));
    expect(standingOf(given(opened([]), reserved('rent', [100, 90]), set).state)).toMatchObject([{ held: 1n }]);
  });

  test('a new limit on an agent knows what that agent holds', () => {
    const limits = [limitOf({ scope: 'agent', scopeId: 'main' })];
    const set = limitsSet(...limits);
    const both = [opened([]), reserved('rent', [100, 90]), set];
    expect(standingOf(given(...both).state)).toMatchObject([{ held: 1_000n }]);
    expect(standingOf(given(...both, settled('rent', [80, 10])).state)).toMatchObject([{ held: 0n, posted: 180n }]);
  });

  test('a limit that is dropped and set again starts with what is held', () => {
    const limits = [limitOf({ scope: 'agent', scopeId: '*' })];
    const history = [
      opened(limits),
      reserved('rent', [100, 90]),
      limitsSet(),
      settled('rent', [80, 10]),
      limitsSet(...limits),
    ];
    expect(standingOf(given(...history).state)).toMatchObject([{ scopeId: 'main', held: 0n }]);
  });

  test.each([
    ['cap_negative', [usd(-1n)]],
    ['limit_repeated', [usd(1n), usd(2n)]],
    ['limit_repeated', [usd(1n), limitOf({ scopeId: 'ignored', cap: 2n })]],
    ['scope_id_missing', [limitOf({ scope: 'agent' })]],
    ['limit_unending', [limitOf({ scope: 'user', scopeId: '*', window: 'total' })]],
  ] as const)('is refused as %s', (code, limits) =>
    given(opened([]))
      .when(setLimits(...limits))
      .refuses(code),
  );

  test('takes a soft limit beside a hard one, and a cap of zero', () => {
    const limits = [usd(0n), limitOf({ cap: 0n, hard: false })];
    given(opened([]))
      .when(setLimits(...limits))
      .then(limitsSet(...limits));
  });
});

describe('closing the books', () => {
  const limits = [limitOf({ window: 'total' }), limitOf({ window: 'week', unit: 'requests', cap: 10n }), usd(5_000n)];
  const lastDay = { reservedAt: '2026-11-30T23:59:00.000Z', expiresAt: '2026-12-01T00:05:00.000Z' };
  const closed = {
    type: 'WindowClosed',
    data: { window: '2026-11', next: '2026-12', closedAt: '2026-12-01T00:00:00.000Z' },
  } as const;
  const november = [
    opened(limits),
    reserved('rent', [100, 10]),
    settled('rent', [100, 10], { heldPico: 200n }),
    reserved('food', [100, 20], lastDay),
    closed,
  ];

  test('carries totals, the week that spans the months, and what western clocks still name: spent, and held in full', () => {
    const { closing } = open(given(...november).state);
    expect(closing).toMatchObject({
      next: '2026-12',
      carried: {
        'usd|total|tenant': 500n,
        'tokens|total|tenant': 230n,
        'messages|total|tenant': 2n,
        'requests|total|tenant': 2n,
        'usd|2026-W49|tenant': 300n,
        'tokens|2026-W49|tenant': 120n,
        'messages|2026-W49|tenant': 1n,
        'requests|2026-W49|tenant': 1n,
        'usd|2026-11|tenant': 500n,
        'usd|2026-11-30|tenant': 300n,
      },
      carriedHolds: [idOf('food')],
    });
  });

  test('once is enough', () =>
    given(...november)
      .when({ type: 'close', data: { next: '2027-01', nowMs: NOON_MS } })
      .nothing());

  test('ends reserving and setting limits in that month', () => {
    given(...november)
      .when(reserve('toys', [1, 1]))
      .refuses('window_closed', { next: '2026-12' });
    given(...november)
      .when(setLimits())
      .refuses('window_closed', { next: '2026-12' });
  });

  test('a settlement frees in the next month what the carried hold did not use', () => {
    const { state } = given(...november);
    expect(budget.decide(settle('food', [100, 5]), state)).toMatchObject({ code: 'window_closed' });
    const decided = budget.decide(settle('food', [100, 5], { withNext: true }), state);
    if (!Array.isArray(decided)) throw new Error('refused');
    const freed = freedBy(state, decided[0]!);
    expect(freed).toEqual({
      reservationId: idOf('food'),
      freed: {
        'usd|total|tenant': 150n,
        'tokens|total|tenant': 15n,
        'usd|2026-W49|tenant': 150n,
        'tokens|2026-W49|tenant': 15n,
        'usd|2026-11|tenant': 150n,
        'tokens|2026-11|tenant': 15n,
        'usd|2026-11-30|tenant': 150n,
        'tokens|2026-11-30|tenant': 15n,
      },
    });

    const december = opened(limits, { window: '2026-12', openedAt: closed.data.closedAt, ...carryOf(state) });
    const settledAt = '2026-12-01T00:01:00.000Z';
    const command = { type: 'settleCarried', data: { settled: [freed!], nowMs: Date.parse(settledAt) } } as const;
    const told = { type: 'CarriedSettled', data: { ...freed!, settledAt } } as const;
    given(december).when(command).then(told);
    given(december, told).when(command).nothing();
    expect(standingOf(given(december, told).state, Date.parse(settledAt))).toMatchObject([
      { window: 'total', posted: 350n },
      { window: 'week', posted: 1n },
      { window: 'month', posted: 0n },
    ]);
  });

  test('a month that opens later knows no week that is over', () => {
    const slept = { ...closed, data: { ...closed.data, next: '2027-03', closedAt: '2027-03-09T00:00:00.000Z' } };
    const { closing } = open(given(...november.slice(0, -1), slept).state);
    expect(Object.keys(closing!.carried).every((name) => name.includes('|total|'))).toBe(true);
  });

  test('a carry that is too large for one event comes in several and adds up', () => {
    const carried = Object.fromEntries(
      Array.from({ length: 1_234 }, (_, user) => [`usd|2026-W45|user:${user}`, BigInt(user)]),
    );
    const carriedHolds = Array.from({ length: 7_000 }, (_, call) => `hold-${call}`);
    const events = budget.decide(openBooks({ limits, carried, carriedHolds }), budget.initial);
    if (!Array.isArray(events)) throw new Error('refused');
    expect(events.map(({ type }) => type)).toEqual(['WindowOpened', 'BalancesCarried', 'BalancesCarried']);
    const state = open(fold(budget, budget.initial, events));
    expect(get(state.counters, '2026-W45|user:1233')?.posted.usd).toBe(1_233n);
    expect(state.counters.size).toBe(1_234);
    expect(state.carriedHolds.size).toBe(7_000);
  });
});

test('what was counted in a window that is long over is forgotten: a year of hours takes no more room than a day', () => {
  let { state } = given(opened([limitOf({ window: 'hour', scope: 'agent', scopeId: '*' })]));
  for (let hour = 0; hour < 29 * 24; hour++) {
    const reservedAt = new Date(Date.parse('2026-11-01T00:30:00.000Z') + hour * 3_600_000).toISOString();
    state = fold(budget, state, [reserved(hour, [1, 1], { reservedAt }), settled(hour, [1, 1], { reservedAt })]);
    expect(open(state).counters.size).toBeLessThanOrEqual(16);
  }
  expect(entriesOf(open(state).holds)).toEqual([]);
});
