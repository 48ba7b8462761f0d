import { expect, test } from '@jest/globals';
import { fold } from '@reef/eventing/pure';
import fc from 'fast-check';
import { attributionOf, expire, idOf, limitOf, open as opening, PRICE, usageOf } from '../../test/builders.js';
import { budget, type Budget, type BudgetCommand, type BudgetEvent, freedBy } from './budget.js';
import { entriesOf, get } from './dictionary.js';
import type { Hold } from './hold.js';
import type { Limit } from './limits.js';
import type { OpenBudget } from './open-budget.js';
import { type LimitStanding, standings } from './standing.js';

const HOURS = 30 * 24;
const nowMs = fc
  .integer({ min: 0, max: HOURS * 4 })
  .map((quarter) => Date.parse('2026-11-01T00:00:00Z') + quarter * 900_000);
const callId = fc.nat(12);
const tokens = fc.nat(150);

const limits: fc.Arbitrary<Limit[]> = fc
  .uniqueArray(
    fc.record({
      target: fc.constantFrom(
        { scope: 'tenant' as const, scopeId: null },
        { scope: 'agent' as const, scopeId: 'main' },
        { scope: 'agent' as const, scopeId: '*' },
        { scope: 'user' as const, scopeId: '*' },
        { scope: 'key' as const, scopeId: 'key1' },
      ),
      window: fc.constantFrom('hour', 'day', 'week', 'month', 'total'),
      unit: fc.constantFrom('usd', 'tokens', 'messages', 'requests'),
      cap: fc.bigInt(0n, 3_000n),
      hard: fc.boolean(),
    }),
    { maxLength: 6, selector: ({ target, window, unit, hard }) => JSON.stringify([target, window, unit, hard]) },
  )
  .map((all) =>
    all
      .map(({ target, window, unit, cap, hard }) => limitOf({ ...target, window, unit, cap, hard }))
      .filter(({ scopeId, window }) => !(scopeId === '*' && window === 'total')),
  );

const reserve = fc
  .record({
    call: callId,
    agent: fc.constantFrom('main', 'other'),
    user: fc.constantFrom('ada', 'grace', null),
    input: tokens,
    output: tokens,
    first: fc.boolean(),
    nowMs,
  })
  .map(({ call, agent, user, input, output, first, nowMs }): BudgetCommand => ({
    type: 'reserve',
    data: {
      reservationId: idOf(call),
      attribution: attributionOf({ agent, user }),
      inputTokensMax: input,
      outputTokensMax: output + 1,
      firstOfTurn: first,
      worker: 'worker-1',
      expiresAt: new Date(nowMs + 600_000).toISOString(),
      price: PRICE,
      priceVersion: 1,
      nowMs,
    },
  }));
const settle = fc
  .record({ call: callId, input: tokens, output: tokens, known: fc.boolean(), nowMs })
  .map(({ call, input, output, known, nowMs }): BudgetCommand => ({
    type: 'settle',
    data: {
      reservationId: idOf(call),
      window: '2026-11',
      outcome: 'completed',
      usage: known ? usageOf(input, output) : null,
      outputTokensSeen: 0,
      nowMs,
      withNext: false,
    },
  }));
const others = fc.oneof(
  fc.record({ call: callId, nowMs }).map(({ call, nowMs }): BudgetCommand => ({
    type: 'release',
    data: { reservationId: idOf(call), window: '2026-11', nowMs, withNext: false },
  })),
  nowMs.map((nowMs) => expire(nowMs)),
  fc.record({ limits, nowMs }).map((data): BudgetCommand => ({ type: 'setLimits', data })),
);
const commands = fc.array(fc.oneof({ weight: 4, arbitrary: reserve }, { weight: 3, arbitrary: settle }, others), {
  maxLength: 80,
});

/** What a provider reports beyond the bound is booked whatever the limits say; here, providers keep to it. */
function kept(command: BudgetCommand, state: OpenBudget): BudgetCommand {
  if (command.type !== 'settle' || !command.data.usage) return command;
  const held = get(state.holds, command.data.reservationId);
  if (!held) return command;
  const usage = usageOf(
    Math.min(command.data.usage.inputTokens, held.inputTokensMax),
    Math.min(command.data.usage.outputTokens, held.outputTokensMax),
  );
  return { ...command, data: { ...command.data, usage } };
}

function open(state: Budget): OpenBudget {
  if (state.status === 'unopened') throw new Error('not opened');
  return state;
}

/** Decides and folds, and checks that neither touches the state it was given. */
function execute(command: BudgetCommand, state: Budget): { state: Budget; events: readonly BudgetEvent[] } {
  const before = state.status === 'open' && JSON.stringify(entriesOf(state.counters), text);
  const decision = budget.decide(command, state);
  const events = 'ok' in decision ? [] : decision;
  const next = fold(budget, state, events);
  if (state.status === 'open') expect(JSON.stringify(entriesOf(state.counters), text)).toBe(before);
  return { state: next, events };
}
const text = (_key: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value);

/** What a reservation adds to a limit. */
function amountOf(held: Omit<Hold, 'timeZone'>, { scope, scopeId, unit }: LimitStanding): bigint {
  if (scope !== 'tenant' && scopeId !== held.attribution[scope === 'key' ? 'keyId' : scope]) return 0n;
  switch (unit) {
    case 'usd':
      return held.heldPico;
    case 'tokens':
      return BigInt(held.inputTokensMax + held.outputTokensMax);
    case 'messages':
      return held.firstOfTurn ? 1n : 0n;
    case 'requests':
      return 1n;
  }
}

test('no hard limit is ever exceeded by what it admits, in any order of calls, retries, expiries and changes of limits', () => {
  fc.assert(
    fc.property(limits, commands, (first, sequence) => {
      let { state } = execute(opening({ limits: first }), budget.initial);
      for (const command of sequence) {
        const before = open(state);
        const done = execute(kept(command, before), state);
        state = done.state;
        for (const event of done.events) {
          if (event.type !== 'Reserved') continue;
          const at = Date.parse(event.data.reservedAt);
          // A limit that was lowered below what is spent stays exceeded; it may only admit what it does not count.
          for (const limit of standings(open(state), at)) {
            const { hard, posted, held, cap } = limit;
            if (hard && amountOf(event.data, limit) > 0n)
              expect({ ...limit, isKept: posted + held <= cap }).toMatchObject({ isKept: true });
          }
        }
      }
    }),
    { numRuns: 300 },
  );
});

test('every counter equals what its reservations hold and have used, counted one by one', () => {
  fc.assert(
    fc.property(limits, commands, (first, sequence) => {
      let { state } = execute(opening({ limits: first }), budget.initial);
      let postedPico = 0n;
      for (const command of sequence) {
        const done = execute(kept(command, open(state)), state);
        state = done.state;
        for (const event of done.events) {
          if (event.type === 'Settled' || event.type === 'ReservationExpired') postedPico += event.data.costPico;
          if (event.type === 'SettlementAdjusted') postedPico += event.data.bookedPico;
        }
        const holds = entriesOf(open(state).holds).map(([, held]) => held);
        const total = get(open(state).counters, 'total|tenant');
        expect(total?.posted.usd ?? 0n).toBe(postedPico);
        expect(total?.held.usd ?? 0n).toBe(holds.reduce((sum, held) => sum + held.heldPico, 0n));
        expect(total?.held.requests ?? 0n).toBe(BigInt(holds.length));
        for (const { scope, scopeId, window } of open(state).limits) {
          if (scope !== 'agent' || scopeId !== 'main' || window !== 'month') continue;
          const mine = holds.filter((held) => held.attribution.agent === 'main').length;
          expect(get(open(state).counters, '2026-11|agent:main')?.held.requests ?? 0n).toBe(BigInt(mine));
        }
      }
    }),
    { numRuns: 200 },
  );
});

test('sending every command twice changes nothing but the number of refusals', () => {
  fc.assert(
    fc.property(limits, commands, (first, sequence) => {
      let once = execute(opening({ limits: first }), budget.initial).state;
      let twice = once;
      for (const command of sequence) {
        const sent = kept(command, open(once));
        once = execute(sent, once).state;
        twice = execute(sent, execute(sent, twice).state).state;
      }
      const shown = (state: Budget) => entriesOf(open(state).counters);
      expect(shown(twice)).toEqual(shown(once));
      expect(entriesOf(open(twice).holds)).toEqual(entriesOf(open(once).holds));
    }),
    { numRuns: 200 },
  );
});

test('totals are carried over a month without losing or inventing anything, whatever is settled late', () => {
  fc.assert(
    fc.property(commands, commands, (early, late) => {
      let november = execute(opening(), budget.initial).state;
      for (const command of early) november = execute(command, november).state;
      const closedAtMs = Date.parse('2026-12-01T00:00:00Z');
      november = execute({ type: 'close', data: { next: '2026-12', nowMs: closedAtMs } }, november).state;
      const { closing } = open(november);
      let december = execute(opening({ ...closing!, window: '2026-12', nowMs: closedAtMs }), budget.initial).state;
      for (const command of late) {
        if (command.type !== 'settle' && command.type !== 'release' && command.type !== 'expire') continue;
        const ending = { ...command, data: { ...command.data, withNext: true } } as BudgetCommand;
        const { state, events } = execute(ending, november);
        const settled = events.map((event) => freedBy(november, event)).filter((freed) => freed !== null);
        november = state;
        const told = { type: 'settleCarried', data: { settled, nowMs: closedAtMs } } satisfies BudgetCommand;
        december = execute(told, execute(told, december).state).state;
      }
      const old = get(open(november).counters, 'total|tenant');
      const now = get(open(december).counters, 'total|tenant');
      for (const unit of ['usd', 'tokens', 'messages', 'requests'] as const) {
        expect(now?.posted[unit] ?? 0n).toBe((old?.posted[unit] ?? 0n) + (old?.held[unit] ?? 0n));
      }
    }),
    { numRuns: 200 },
  );
});
