import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { budgets, PLATFORM } from '@reef/contracts';
import { ledgerCostPico, picoOf, rowsOf } from './books.js';
import { type LedgerCall, ledgerCalls, longestSilenceSeconds, type UseAt, usesOf } from './budget-history.js';
import { Answers, streamTurns } from './fault-clients.js';
import { SCRIPTED } from './load.js';
import { asOperator } from './operator.js';
import { type InstanceName, type Stack, START_LIMIT_MS, startStack, type Tenant, until } from './stack.js';

/** Clients that stream at once; `REEF_FAULT_TURNS=1000` is the long run. */
const CLIENTS = Number(process.env['REEF_FAULT_TURNS'] ?? 150);
const LOAD_MS = CLIENTS > 300 ? 90_000 : 34_000;
const KILL_EVERY_MS = 4_500;
/** While PostgreSQL is away nobody hears how far a call is: a worker that died then would lose more than what follows allows. */
const AFTER_POSTGRES_MS = 5_000;
const RECOVERY_MS = 25_000;
const STORY_LIMIT_MS = LOAD_MS + 3 * RECOVERY_MS;

/** Of `simulator/sim-script`, the dearest kind of input: a bound is by that. */
const PRICE = { inputPico: 125_000n, outputPico: 400_000n };
/** Below this many output tokens a call is refused and not clamped. */
const USEFUL_OUTPUT_TOKENS = 64n;
/** What may go out unseen before a worker's death: 64 tokens not yet told, and as many in a message that a dying budgets took with it. */
const UNSEEN_TOKENS_MAX = 128;
/** A dead worker is found out after 9 s, within a sweep of 1 s; a budgets that has just started listens for 5 s before it judges. */
const SILENCE_SECONDS_MAX = 16;

/**
 * With the points below each dies a few times. Who owns a lane of turns keeps all of them waiting for nine seconds when it dies; a
 * budgets that has just started judges no worker for five seconds, so the first one dies at its points alone.
 */
const WORKERS = ['dispatch-2', 'budgets-2', 'budgets-3', 'budgets-2'] as const;
const CRASH_POINTS = {
  'dispatch:before-reserve': 5,
  'dispatch:after-reserve': 15,
  'dispatch:before-settle': 10,
  'dispatch:after-settle': 5,
  'budgets:before-commit': 40,
  'budgets:after-commit': 60,
  'budgets:before-reply': 100,
  'budgets:before-publish': 10,
  'budgets:after-publish': 20,
};

// One story: processes die under load, and then the books are looked at.
describe('three budgets and three dispatch', () => {
  let stack: Stack;
  let tenant: Tenant;
  let capPico: bigint;
  let inputTokensMax: number;
  let uses: readonly UseAt[];
  let calls: readonly LedgerCall[];
  const answers = new Answers();
  const kills: string[] = [];
  const sampled: bigint[] = [];
  let silenceSeconds = 0;
  let estimated: object = {};

  beforeAll(async () => {
    const points = Object.entries(CRASH_POINTS).map(([name, passes]) => `${name}@${passes}`);
    stack = await startStack({
      ownServers: true,
      settings: { REEF_INSTANCES: 'budgets=3,dispatch=3', REEF_CRASH_AT: points.join(',') },
    });
    tenant = await stack.signUp();
    await tenant.ask('POST', `${tenant.path}/agents`, { json: { agent: SCRIPTED, model: 'simulator/sim-script' } });
    // The first turn's reservation tells what one takes.
    await assignCap(5n * 10n ** 12n);
    await streamTurns(tenant, { clients: 1, turns: 1, name: 'p', untilMs: Infinity }, new Answers());
    const [first] = await rowsOf<{ held: string; input: number }>(
      stack,
      'budgets',
      `select data->>'heldPico' as held, (data->>'inputTokensMax')::int as input from es.event where type = 'Reserved' and tenant_id = $1`,
      [tenant.tenant],
    );
    inputTokensMax = first!.input;
    capPico = (BigInt(first!.held) * BigInt(CLIENTS)) / 3n;
    await assignCap(capPico);
  }, START_LIMIT_MS);
  afterAll(async () => {
    const largest = uses?.reduce((most, { postedPico, heldPico }) => max(most, postedPico + heldPico), 0n);
    const figures = {
      clients: CLIENTS,
      kills,
      outcomes: answers.outcomes,
      largestUseOfCap: largest === undefined ? null : Number((largest * 10_000n) / capPico) / 10_000,
      ledger: calls && countBy(calls, ({ status, estimated: is }) => (is ? `${status}, estimated` : status)),
      estimated,
      longestSilenceOfAHoldsWorkerSeconds: Math.round(silenceSeconds * 10) / 10,
    };
    process.stdout.write(`budget faults: ${JSON.stringify(figures)}\n`);
    await stack?.[Symbol.asyncDispose]();
  }, START_LIMIT_MS);

  test(
    'die at random and at every named point while clients stream, and come back',
    async () => {
      const untilMs = Date.now() + LOAD_MS;
      const work = { over: false };
      const watching = watch(work);
      const killing = killAtRandom(untilMs - 5_000);
      await streamTurns(tenant, { clients: CLIENTS, untilMs }, answers);
      await killing;
      await stack.ready(RECOVERY_MS);
      await until(async () => (await held()) === 0, RECOVERY_MS, 'nothing is held').catch(() => undefined);
      work.over = true;
      await watching;
      uses = await usesOf(stack, tenant.tenant);
      calls = await ledgerCalls(stack, tenant.tenant);
      expect(readdirSync(join(stack.home, 'crashes')).sort()).toEqual(Object.keys(CRASH_POINTS).sort());
      expect(await held()).toBe(0);
    },
    STORY_LIMIT_MS,
  );

  test('served turns until the cap was used up, and refused others for it', () => {
    expect(answers.of('completed')).toBeGreaterThan(CLIENTS / 20);
    expect(answers.exhausted.length).toBeGreaterThan(0);
  });

  test('never had more posted and held than the cap, after any event and at any look', () => {
    expect(uses.filter(({ postedPico, heldPico }) => postedPico + heldPico > capPico)).toEqual([]);
    expect(sampled.filter((usedPico) => usedPico > capPico)).toEqual([]);
    expect(sampled.length).toBeGreaterThan(10);
  });

  test('refused nobody who had enough left', () => {
    const smallest = BigInt(inputTokensMax) * PRICE.inputPico + USEFUL_OUTPUT_TOKENS * PRICE.outputPico;
    expect(answers.exhausted.filter(({ leftPico }) => leftPico >= smallest)).toEqual([]);
    // And what was said to be left was really left then, to the last picodollar.
    const invented = answers.exhausted.filter(
      ({ leftPico, fromMs, toMs }) =>
        !uses.some(({ postedPico, heldPico, atMs }, index) => {
          const lasted = (uses[index + 1]?.atMs ?? Infinity) >= fromMs - 50 && atMs <= toMs + 50;
          return lasted && max(0n, capPico - postedPico - heldPico) === leftPico;
        }),
    );
    expect(invented).toEqual([]);
  });

  test('booked every call that was served, to the token, but for what a death cut', async () => {
    const port = (await stack.status()).find(({ name }) => name === 'simulator')!.port;
    const { calls: served } = (await (await fetch(`http://127.0.0.1:${port}/served`)).json()) as {
      calls: { label: string; promptTokens: number; completionTokens: number; end: string }[];
    };
    const servedBy = Map.groupBy(served, ({ label }) => label);
    const wrong: object[] = [];
    const unseen: number[] = [];
    for (const [label, booked] of Map.groupBy(
      calls.filter(({ status }) => status !== 'released'),
      ({ label: name }) => name,
    )) {
      // A turn whose worker died before it was written down is begun by another: then a label has two reservations, and one call.
      const ones = (servedBy.get(label) ?? []).sort((a, b) => b.completionTokens - a.completionTokens);
      servedBy.delete(label);
      booked.sort((a, b) => b.outputTokens - a.outputTokens);
      if (ones.length > booked.length) wrong.push({ ones, booked });
      for (const [index, row] of booked.entries()) {
        const one = ones[index] ?? { promptTokens: row.inputTokens, completionTokens: 0, end: 'never asked for' };
        const difference = one.completionTokens - row.outputTokens;
        if (row.estimated) unseen.push(difference);
        const explained = row.estimated
          ? Math.abs(difference) <= UNSEEN_TOKENS_MAX && row.costPico! <= row.heldPico
          : difference === 0 && row.inputTokens === one.promptTokens && index < ones.length;
        if (!explained || one.end === 'running') wrong.push({ one, row });
      }
    }
    const lost = unseen.filter((tokens) => tokens > 0);
    estimated = {
      served: served.length,
      estimates: unseen.length,
      tokensLost: sum(lost),
      mostOfOneCall: Math.max(0, ...lost),
    };
    expect(wrong).toEqual([]);
    expect([...servedBy.keys()]).toEqual([]); // Served, and nowhere in the ledger.
  });

  test('held nothing for long that a dead worker had reserved', () => {
    expect(silenceSeconds).toBeLessThanOrEqual(SILENCE_SECONDS_MAX);
  });

  test('say the same in the balance, the ledger and the events', async () => {
    const { limits } = (await tenant.ask('GET', `${tenant.path}/budget`)).json as {
      limits: { unit: string; posted: string; held: string }[];
    };
    const balance = limits.find(({ unit }) => unit === 'usd')!;
    const last = uses.at(-1)!;
    expect(picoOf(balance.posted)).toBe(last.postedPico);
    expect([picoOf(balance.held), last.heldPico]).toEqual([0n, 0n]);
    expect(await ledgerCostPico(stack, tenant.tenant)).toBe(sumPico(calls.map(({ costPico }) => costPico ?? 0n)));
  });

  test(
    'left tables that follow from the events',
    async () => {
      const { code, stdout, stderr } = await stack.reef('replay', '--check');
      expect({ code, stdout: code === 0 ? '' : stdout, stderr }).toEqual({ code: 0, stdout: '', stderr: '' });
    },
    STORY_LIMIT_MS,
  );

  /** Near the cap nothing is rationed, or the load would wait for hours where it is to meet the cap. */
  async function assignCap(cap: bigint): Promise<void> {
    const plan = {
      plan: 'faults',
      name: 'Faults',
      pricePico: 0n,
      markupBasisPoints: 0,
      limits: [
        { scope: 'tenant', scopeId: null, window: 'month', unit: 'usd', cap, hard: true, topUps: false } as const,
      ],
      rates: { requestsPerMinute: null, tokensPerMinute: null, concurrentTurns: null },
      weight: 1,
      paceOverSeconds: 0,
    };
    await asOperator(stack, PLATFORM, budgets.commands.publishPlans, { plans: [plan] });
    await asOperator(stack, tenant.tenant, budgets.commands.assignPlan, { plan: 'faults' });
  }

  async function killAtRandom(untilMs: number): Promise<void> {
    const postgresAtMs = Date.now() + (untilMs - Date.now()) / 2;
    while (Date.now() < untilMs) {
      await sleep(KILL_EVERY_MS);
      const isTime = !kills.includes('postgres') && Date.now() > postgresAtMs;
      await kill(isTime ? 'postgres' : WORKERS[Math.floor(Math.random() * WORKERS.length)]!);
      if (isTime) await sleep(AFTER_POSTGRES_MS);
    }
  }

  /** One that has just died at a point of its own needs no help. */
  async function kill(name: InstanceName): Promise<void> {
    await stack.kill(name).then(
      () => kills.push(name),
      () => undefined,
    );
  }

  async function watch(work: { over: boolean }): Promise<void> {
    let judgedFromMs = 0;
    while (!work.over) {
      await sleep(500);
      const silence = await longestSilenceSeconds(stack).catch(() => null);
      // While PostgreSQL is dead nobody is heard, and afterwards everybody has the time to be heard once more.
      if (silence === null) judgedFromMs = Date.now() + 1_000 * SILENCE_SECONDS_MAX;
      else if (Date.now() > judgedFromMs) silenceSeconds = Math.max(silenceSeconds, silence);
      const answer = await tenant.ask('GET', `${tenant.path}/budget`, { timeoutMs: 5_000 }).catch(() => null);
      const { limits } = (answer?.json ?? {}) as { limits?: { unit: string; posted: string; held: string }[] };
      const usd = limits?.find(({ unit }) => unit === 'usd');
      if (answer?.status === 200 && usd) sampled.push(picoOf(usd.posted) + picoOf(usd.held));
    }
  }

  async function held(): Promise<number> {
    const sql = `select count(*)::int as n from view.ledger where status = 'held'`;
    return (await rowsOf<{ n: number }>(stack, 'budgets', sql))[0]?.n ?? 0;
  }
});

const max = (a: bigint, b: bigint) => (a > b ? a : b);
const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0);
const sumPico = (amounts: readonly bigint[]) => amounts.reduce((total, each) => total + each, 0n);

function countBy<Item>(items: readonly Item[], nameOf: (item: Item) => string): Record<string, number> {
  return Object.fromEntries([...Map.groupBy(items, nameOf)].map(([name, group]) => [name, group.length]));
}
