import type { Plan } from '@reef/contracts';
import { type BudgetCommand, type BudgetEvent, FRESH } from '../src/domain/budget.js';
import type { Limit } from '../src/domain/limits.js';
import type { Price } from '../src/domain/money.js';

// What the specs of this folder have in common; ids and other noise stay out of them.

type DataOf<Type extends BudgetEvent['type']> = Extract<BudgetEvent, { type: Type }>['data'];
type CommandOf<Type extends BudgetCommand['type']> = Extract<BudgetCommand, { type: Type }>;
type CommandDataOf<Type extends BudgetCommand['type']> = CommandOf<Type>['data'];

export const NOON = '2026-11-22T12:00:00.000Z';
export const NOON_MS = Date.parse(NOON);

/** One pico-USD for an input token, ten for an output token. */
export const PRICE: Price = {
  model: 'test/model',
  inputPico: 1n,
  cacheReadPico: 1n,
  cacheWritePico: 1n,
  outputPico: 10n,
};

export const idOf = (name: string | number) =>
  `00000000-0000-4000-8000-${[...String(name)]
    .map((letter) => letter.charCodeAt(0).toString(16))
    .join('')
    .slice(0, 12)
    .padStart(12, '0')}`;

export const limitOf = (change: Partial<Limit>): Limit => ({
  scope: 'tenant',
  scopeId: null,
  window: 'month',
  unit: 'usd',
  cap: 1_000n,
  hard: true,
  ...change,
});

/** A plan's limit on the tenant. */
export const ofTenant = (change: Partial<Plan['limits'][number]>): Plan['limits'][number] => ({
  ...limitOf({}),
  topUps: false,
  ...change,
});

/** No limits of its own, nothing rationed. */
export const PLAN: Plan = {
  plan: 'test',
  name: 'Test',
  pricePico: 0n,
  markupBasisPoints: 0,
  limits: [],
  rates: { requestsPerMinute: null, tokensPerMinute: null, concurrentTurns: null },
  weight: 1,
  paceOverSeconds: 0,
};

export const planOf = (
  change: Partial<Plan>,
): { plan: Plan; assignedAt: string; spentBefore: Record<string, bigint> } => ({
  plan: { ...PLAN, ...change },
  assignedAt: '2026-11-01T00:00:00.000Z',
  spentBefore: {},
});

export const opened = (limits: Limit[], change: Partial<DataOf<'WindowOpened'>> = {}): BudgetEvent => ({
  type: 'WindowOpened',
  data: {
    window: '2026-11',
    openedAt: '2026-11-01T00:00:00.000Z',
    timeZone: 'UTC',
    plan: { plan: PLAN, assignedAt: '2026-11-01T00:00:00.000Z', spentBefore: {} },
    limits,
    topUps: [],
    exhausted: [],
    recent: [],
    carried: {},
    carriedHolds: [],
    ...change,
  },
});

/** Opens November 2026 under a plan without limits of its own. */
export const open = (change: Partial<CommandDataOf<'open'>> = {}): BudgetCommand => ({
  type: 'open',
  data: { ...FRESH, plan: planOf({}), window: '2026-11', nowMs: NOON_MS, ...change },
});

export const attributionOf = (change: Partial<DataOf<'Reserved'>['attribution']> = {}) => ({
  turnId: idOf('turn'),
  agent: 'main',
  user: 'ada',
  session: 'agent:main:main',
  keyId: 'key1',
  model: 'test/model',
  source: 'chat' as const,
  ...change,
});

/** Holds input + 10 × output pico-USD. */
export const reserve = (
  name: string | number,
  [inputTokensMax, outputTokensMax]: [number, number],
  change: Partial<CommandDataOf<'reserve'>> = {},
): CommandOf<'reserve'> => ({
  type: 'reserve',
  data: {
    reservationId: idOf(name),
    attribution: attributionOf(),
    inputTokensMax,
    outputTokensMax,
    firstOfTurn: true,
    worker: 'worker-1',
    expiresAt: new Date(NOON_MS + 60_000).toISOString(),
    price: PRICE,
    priceVersion: 1,
    nowMs: NOON_MS,
    ...change,
  },
});

export const reserved = (
  name: string | number,
  [inputTokensMax, outputTokensMax]: [number, number],
  change: Partial<DataOf<'Reserved'>> = {},
): BudgetEvent => ({
  type: 'Reserved',
  data: {
    reservationId: idOf(name),
    attribution: attributionOf(),
    inputTokensMax,
    outputTokensMax,
    firstOfTurn: true,
    heldPico: BigInt(inputTokensMax) + 10n * BigInt(outputTokensMax),
    price: PRICE,
    priceVersion: 1,
    worker: 'worker-1',
    reservedAt: NOON,
    expiresAt: new Date(NOON_MS + 60_000).toISOString(),
    ...change,
  },
});

export const usageOf = (inputTokens: number, outputTokens: number) => ({
  inputTokens,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  cacheWrite1hTokens: 0,
  outputTokens,
  reasoningTokens: 0,
});

export const settle = (
  name: string | number,
  used: [inputTokens: number, outputTokens: number] | null,
  change: Partial<CommandDataOf<'settle'>> = {},
): CommandOf<'settle'> => ({
  type: 'settle',
  data: {
    reservationId: idOf(name),
    window: '2026-11',
    outcome: 'completed',
    usage: used && usageOf(...used),
    outputTokensSeen: 0,
    nowMs: NOON_MS,
    withNext: false,
    ...change,
  },
});

/** Of a reservation of 100 input and 90 output tokens, unless said otherwise. */
export const settled = (
  name: string | number,
  [inputTokens, outputTokens]: [number, number],
  change: Partial<DataOf<'Settled'>> = {},
): BudgetEvent => ({
  type: 'Settled',
  data: {
    reservationId: idOf(name),
    attribution: attributionOf(),
    outcome: 'completed',
    usage: usageOf(inputTokens, outputTokens),
    heldPico: 1_000n,
    costPico: BigInt(inputTokens) + 10n * BigInt(outputTokens),
    estimated: false,
    providerExcessTokens: 0,
    priceVersion: 1,
    reservedAt: NOON,
    settledAt: NOON,
    ...change,
  },
});

export const release = (
  name: string | number,
  change: Partial<CommandDataOf<'release'>> = {},
): CommandOf<'release'> => ({
  type: 'release',
  data: { reservationId: idOf(name), window: '2026-11', nowMs: NOON_MS, withNext: false, ...change },
});

export const setLimits = (...limits: Limit[]): BudgetCommand => ({
  type: 'setLimits',
  data: { limits, nowMs: NOON_MS },
});

export const limitsSet = (...limits: Limit[]): BudgetEvent => ({ type: 'LimitsSet', data: { limits, setAt: NOON } });

export const expire = (nowMs: number, change: Partial<CommandDataOf<'expire'>> = {}): CommandOf<'expire'> => ({
  type: 'expire',
  data: { nowMs, withNext: false, deadWorkers: [], outputTokensSeen: {}, ...change },
});

export const adjusted = (
  name: string | number,
  change: Partial<DataOf<'SettlementAdjusted'>> & Pick<DataOf<'SettlementAdjusted'>, 'usage' | 'costPico'>,
): BudgetEvent => ({
  type: 'SettlementAdjusted',
  data: {
    reservationId: idOf(name),
    attribution: attributionOf(),
    heldPico: 1_000n,
    estimatedPico: 100n,
    bookedPico: change.costPico - 100n,
    bookedTokens: 0,
    priceVersion: 1,
    reservedAt: NOON,
    adjustedAt: NOON,
    ...change,
  },
});

/** Of the tenant's month limit in USD. */
export const crossed = (change: Partial<DataOf<'ThresholdCrossed'>>): BudgetEvent => ({
  type: 'ThresholdCrossed',
  data: {
    scope: 'tenant',
    scopeId: null,
    window: 'month',
    windowKey: '2026-11',
    windowEndsAt: '2026-12-01T00:00:00.000Z',
    unit: 'usd',
    thresholdPercent: 50,
    cap: 1_000n,
    posted: 500n,
    hard: true,
    crossedAt: NOON,
    ...change,
  },
});
