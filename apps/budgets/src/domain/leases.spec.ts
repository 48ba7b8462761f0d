import { describe, expect, test } from '@jest/globals';
import { scenario } from '@reef/testing';
import {
  adjusted,
  crossed,
  expire,
  idOf,
  limitOf,
  NOON_MS,
  opened,
  reserve,
  reserved,
  settle,
  settled,
  usageOf,
} from '../../test/builders.js';
import { budget, type Budget, type BudgetEvent } from './budget.js';
import { standings } from './standing.js';

const given = scenario(budget);
const AT = new Date(NOON_MS + 10_000).toISOString();
const soon = NOON_MS + 10_000;

const charged = (name: string, [input, output]: [number, number]): BudgetEvent => ({
  type: 'ReservationExpired',
  data: {
    reservationId: idOf(name),
    attribution: (reserved(name, [1, 1]) as Extract<BudgetEvent, { type: 'Reserved' }>).data.attribution,
    usage: usageOf(input, output),
    heldPico: 1_000n,
    costPico: BigInt(input) + 10n * BigInt(output),
    priceVersion: 1,
    reservedAt: new Date(NOON_MS).toISOString(),
    expiredAt: AT,
  },
});

const postedOf = (state: Budget) => {
  if (state.status !== 'open') throw new Error('not opened');
  return standings(state, NOON_MS)[0]?.posted;
};

describe('a worker that died', () => {
  test('charges the input that a dead worker’s call most likely had, not the bound that was held for it', () => {
    given(opened([limitOf({})]), reserved('rent', [100, 90], { inputTokensLikely: 34 }))
      .when(expire(soon, { deadWorkers: ['worker-1'], outputTokensSeen: { [idOf('rent')]: 7 } }))
      .then(charged('rent', [34, 7]));
    given(opened([limitOf({})]))
      .when(reserve('rent', [100, 90], { inputTokensLikely: 101 }))
      .then(reserved('rent', [100, 90], { inputTokensLikely: 100 }));
  });

  const history = [
    opened([limitOf({ cap: 10_000n })]),
    reserved('rent', [100, 90]),
    reserved('food', [100, 90], { worker: 'worker-2' }),
    reserved('toys', [100, 90], { worker: null }),
  ];

  test('is charged its calls’ input and the output that was seen; others’ calls go on', () =>
    given(...history)
      .when(
        expire(soon, {
          deadWorkers: ['worker-1', 'worker-3'],
          outputTokensSeen: { [idOf('rent')]: 7, [idOf('food')]: 9 },
        }),
      )
      .then(charged('rent', [100, 7])));

  test('is charged no more output than was granted, and none where none was seen', () => {
    given(...history)
      .when(expire(soon, { deadWorkers: ['worker-1'], outputTokensSeen: { [idOf('rent')]: 5_000 } }))
      .then(charged('rent', [100, 90]));
    given(...history)
      .when(expire(soon, { deadWorkers: ['worker-2'] }))
      .then(charged('food', [100, 0]));
  });

  test('is charged once', () =>
    given(...history, charged('rent', [100, 7]))
      .when(expire(soon, { deadWorkers: ['worker-1'] }))
      .nothing());
});

describe('a settlement after the charge', () => {
  const history = [opened([limitOf({ cap: 10_000n })]), reserved('rent', [100, 90]), charged('rent', [100, 50])];
  const truth = (used: [number, number], booked: { bookedPico: bigint; bookedTokens: number }) =>
    adjusted('rent', {
      usage: usageOf(...used),
      costPico: BigInt(used[0]) + 10n * BigInt(used[1]),
      estimatedPico: 600n,
      ...booked,
    });

  test('corrects it, down in full and up in full where there is room', () => {
    const down = truth([80, 10], { bookedPico: -420n, bookedTokens: -60 });
    given(...history)
      .when(settle('rent', [80, 10]))
      .then(down);
    expect(postedOf(given(...history, down).state)).toBe(180n);
    const up = truth([100, 90], { bookedPico: 400n, bookedTokens: 40 });
    given(...history)
      .when(settle('rent', [100, 90]))
      .then(up);
    expect(postedOf(given(...history, up).state)).toBe(1_000n);
  });

  test('goes up only as far as the caps allow: what others took meanwhile is not overshot', () => {
    const tight = [opened([limitOf({ cap: 1_500n })]), ...history.slice(1), reserved('food', [20, 60])];
    const up = truth([100, 90], { bookedPico: 280n, bookedTokens: 40 });
    const { state } = given(...tight);
    const [first] = budget.decide(settle('rent', [100, 90]), state) as readonly BudgetEvent[];
    expect(first).toEqual(up);
    expect(postedOf(given(...tight, up).state)).toBe(880n);
  });

  test('twice corrects once, and a charge without usage corrects nothing', () => {
    const down = truth([80, 10], { bookedPico: -420n, bookedTokens: -60 });
    given(...history, down)
      .when(settle('rent', [100, 90]))
      .nothing();
    given(...history)
      .when(settle('rent', null))
      .nothing();
  });

  test('leaves a limit alone that never knew the estimate', () => {
    const narrow = limitOf({ scope: 'agent', scopeId: 'main', cap: 5_000n });
    const set: BudgetEvent = { type: 'LimitsSet', data: { limits: [narrow], setAt: AT } };
    const later = [...history, set, reserved('food', [100, 10]), settled('food', [100, 10], { heldPico: 200n })];
    const down = truth([80, 10], { bookedPico: -420n, bookedTokens: -60 });
    expect(postedOf(given(...later, down).state)).toBe(200n);
  });
});

describe('calls that make no sense', () => {
  const history = [opened([limitOf({ cap: 10_000n })]), reserved('rent', [100, 90])];

  test('a settlement of nothing known is refused, and one of more than the bound is booked in full', () => {
    given(...history)
      .when(settle('food', [1, 1]))
      .refuses('reservation_unknown');
    const [event] = budget.decide(settle('rent', [200, 190]), given(...history).state) as readonly BudgetEvent[];
    expect(event).toMatchObject({ type: 'Settled', data: { costPico: 2_100n, providerExcessTokens: 200 } });
  });

  test('a cap below what is spent refuses new calls at once and lets those under way end', () => {
    const lowered: BudgetEvent = { type: 'LimitsSet', data: { limits: [limitOf({ cap: 10n })], setAt: AT } };
    given(...history, lowered)
      .when(reserve('food', [1, 1]))
      .refuses('budget_exhausted', { left: '0' });
    given(...history, lowered)
      .when(settle('rent', [100, 20]))
      .then(
        settled('rent', [100, 20]),
        ...([50, 80, 90, 100] as const).map((thresholdPercent) =>
          crossed({ thresholdPercent, cap: 10n, posted: 300n }),
        ),
      );
  });
});
