import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ledgerCostPico, picoOf, rowsOf } from './books.js';
import { chatOf, type Promised, SCRIPTED, Seen, startLoad } from './load.js';
import { type ServiceName, START_LIMIT_MS, type Stack, startStack, type Tenant, until } from './stack.js';

const TENANTS = 20;
const CLIENTS = 30;
/** How long anything may take to be in order again. */
const RECOVERY_MS = 25_000;
const TEST_LIMIT_MS = 60_000;

// One story: first everything is broken, under load, and then the books are looked at.
describe('under load', () => {
  let stack: Stack;
  let tenants: Tenant[];
  const seen = new Seen();
  const kills: Partial<Record<ServiceName, number>> = {};

  beforeAll(async () => {
    stack = await startStack({ ownServers: true });
    tenants = await Promise.all(Array.from({ length: TENANTS }, () => stack.signUp()));
    await Promise.all(
      tenants.map(async (tenant) => {
        const made = await tenant.ask('POST', `${tenant.path}/agents`, {
          json: { agent: SCRIPTED, model: 'simulator/sim-script' },
        });
        expect(made.status).toBe(201);
      }),
    );
  }, START_LIMIT_MS);
  afterAll(async () => {
    process.stdout.write(
      `faults: ${JSON.stringify({ kills, promised: seen.promised.length, statuses: seen.statuses })}\n`,
    );
    await stack?.[Symbol.asyncDispose]();
  }, START_LIMIT_MS);

  test(
    'each service is killed in turn, and comes back',
    async () => {
      await whileLoaded(async () => {
        for (const service of [
          'budgets',
          'dispatch',
          'workspace',
          'memory',
          'identity',
          'telemetry',
          'edge',
        ] as const) {
          await kill(service);
          await sleep(1_000);
        }
      });
    },
    TEST_LIMIT_MS,
  );

  test('PostgreSQL is killed, and comes back', () => whileLoaded(() => kill('postgres')), TEST_LIMIT_MS);

  test('NATS is killed, and comes back', () => whileLoaded(() => kill('nats')), TEST_LIMIT_MS);

  test(
    'NATS loses all that it has stored, and is filled again',
    async () => {
      await whileLoaded(async () => {
        rmSync(join(stack.home, 'nats', 'jetstream'), { recursive: true, force: true });
        await kill('nats');
      });
    },
    TEST_LIMIT_MS,
  );

  test.each([
    ['refuses for its rate limit', { error: { status: 429, retryAfterMs: 10 } }, [429]],
    ['fails', { error: { status: 500 } }, [502]],
    ['breaks the stream off', { tokens: 50, dropAfterChunks: 3 }, [502]],
    ['answers nonsense', { nonsense: true }, [502]],
  ])(
    'a provider %s, and the client is told',
    async (_what, step, statuses) => {
      const answers = await Promise.all(
        tenants
          .slice(0, 5)
          .map((tenant) => tenant.ask('POST', '/v1/chat/completions', { json: chatOf(JSON.stringify([step])) })),
      );
      for (const { status, text } of answers)
        expect({ status: statuses.includes(status) ? statuses[0] : status, text }).toMatchObject({
          status: statuses[0],
        });
    },
    TEST_LIMIT_MS,
  );

  test('a provider that fails once is asked again, and nobody notices', async () => {
    const steps = [
      { text: `at the second try ${tenants[0]!.tenant}`, error: { status: 503, attempts: 1, retryAfterMs: 10 } },
    ];
    const answer = await tenants[0]!.ask('POST', '/v1/chat/completions', { json: chatOf(JSON.stringify(steps)) });
    expect(answer.text).toContain('at the second try');
  });

  test('nobody was told anything that no fault explains', () => {
    expect(seen.surprising).toEqual([]);
    expect(seen.statuses[200]).toBeGreaterThan(100);
  });

  test(
    'no turn is left waiting or running',
    async () => {
      const open = () =>
        rowsOf(
          stack,
          'dispatch',
          `select tenant_id, turn_id, status, requested_at from view.turns where status in ('queued', 'running')`,
        );
      await until(async () => (await open()).length === 0, RECOVERY_MS, 'every turn has ended').catch(() => undefined);
      expect(await open()).toEqual([]);
    },
    TEST_LIMIT_MS,
  );

  test(
    'nothing is held in any budget',
    async () => {
      // A process that dies before a turn is written down, and after its money is set aside, leaves a hold to its expiry.
      const held = async () => {
        const rows = await rowsOf<{ turn: string }>(
          stack,
          'budgets',
          `select tenant_id, reservation_id, attribution->>'turnId' as turn, reserved_at from view.ledger where status = 'held'`,
        );
        const turns = await rowsOf(
          stack,
          'dispatch',
          'select turn_id, status, failure_code, requested_at, ended_at from view.turns where turn_id = any($1)',
          [rows.map(({ turn }) => turn)],
        );
        return rows.flatMap((row) =>
          turns.filter(({ turn_id: id }) => id === row.turn).map((turn) => ({ ...row, ...turn })),
        );
      };
      await until(async () => (await held()).length === 0, RECOVERY_MS, 'nothing is held').catch(() => undefined);
      expect(await held()).toEqual([]);
      for (const tenant of tenants) {
        const { limits } = (await tenant.ask('GET', `${tenant.path}/budget`)).json as {
          limits: { held: string; posted: string; unit: string }[];
        };
        const [row] = await rowsOf<{ pico: string }>(
          stack,
          'budgets',
          `select coalesce(sum(held_pico), 0)::text as pico from view.ledger where status = 'held' and tenant_id = $1`,
          [tenant.tenant],
        );
        expect(picoOf(limits.find(({ unit }) => unit === 'usd')!.held)).toBe(BigInt(row!.pico));
        expect(picoOf(limits.find(({ unit }) => unit === 'usd')!.posted)).toBe(
          await ledgerCostPico(stack, tenant.tenant),
        );
      }
    },
    TEST_LIMIT_MS,
  );

  test(
    'everything that was acknowledged is there',
    async () => {
      const missing: string[] = [];
      const waiting = [...seen.promised];
      const looker = async () => {
        for (let next = waiting.pop(); next; next = waiting.pop()) {
          const wrong = await lookFor(next);
          if (wrong) missing.push(wrong);
        }
      };
      await Promise.all(Array.from({ length: 10 }, looker));
      expect(missing).toEqual([]);
      for (const kind of ['turn', 'file', 'memory', 'agent'])
        expect(seen.promised.some((one) => one.kind === kind)).toBe(true);
    },
    TEST_LIMIT_MS,
  );

  test('a chat that was repeated under its key ran once', async () => {
    const runs = await rowsOf<{ tenant_id: string; end_user: string; n: number }>(
      stack,
      'dispatch',
      `select tenant_id, end_user, count(*)::int as n from view.turns where end_user like 'once-%' group by 1, 2`,
    );
    expect(runs.length).toBeGreaterThan(0);
    expect(runs.filter(({ n }) => n !== 1)).toEqual([]);
  });

  test('no more was booked as used than the provider served', async () => {
    const [booked] = await rowsOf<{ input: string; output: string }>(
      stack,
      'budgets',
      `select coalesce(sum((usage->>'inputTokens')::bigint + (usage->>'cacheReadTokens')::bigint + (usage->>'cacheWriteTokens')::bigint + (usage->>'cacheWrite1hTokens')::bigint), 0)::text as input,
         coalesce(sum((usage->>'outputTokens')::bigint), 0)::text as output
       from view.ledger where not estimated and cost_pico is not null`,
    );
    const port = (await stack.status()).find(({ name }) => name === 'simulator')!.port;
    const served = (await (await fetch(`http://127.0.0.1:${port}/stats`)).json()) as {
      promptTokens: number;
      completionTokens: number;
    };
    expect(Number(booked!.input)).toBeGreaterThan(0);
    expect(Number(booked!.input)).toBeLessThanOrEqual(served.promptTokens);
    expect(Number(booked!.output)).toBeLessThanOrEqual(served.completionTokens);
  });

  test(
    'the report of costs says what the ledger says, for every tenant',
    async () => {
      const different = async () => {
        const all = await Promise.all(
          tenants.map(async (tenant) => {
            const { totalUsd } = (await tenant.ask('GET', `${tenant.path}/costs`)).json as { totalUsd: string };
            const ledger = await ledgerCostPico(stack, tenant.tenant);
            return { tenant: tenant.tenant, report: picoOf(totalUsd), ledger };
          }),
        );
        return all.filter(({ report, ledger }) => report !== ledger);
      };
      await until(async () => (await different()).length === 0, RECOVERY_MS, 'the report has caught up').catch(
        () => undefined,
      );
      expect(await different()).toEqual([]);
    },
    TEST_LIMIT_MS,
  );

  test('no process ended that was not killed', async () => {
    const restarts = (await stack.status()).map(({ name, restarts: times }) => [name, times]);
    expect(Object.fromEntries(restarts)).toEqual(
      Object.fromEntries(restarts.map(([name]) => [name, kills[name as ServiceName] ?? 0])),
    );
  });

  test(
    'every table can be rebuilt from the events without a difference',
    async () => {
      const { code, stdout, stderr } = await stack.reef('replay', '--check');
      expect({ code, stdout: code === 0 ? '' : stdout, stderr }).toEqual({ code: 0, stdout: '', stderr: '' });
    },
    TEST_LIMIT_MS,
  );

  /** Breaks something while clients work, and lets them work on until all is well again. */
  async function whileLoaded(breakIt: () => Promise<void>): Promise<void> {
    const load = startLoad(tenants, CLIENTS, seen);
    try {
      await sleep(1_000);
      await breakIt();
      await stack.ready(RECOVERY_MS);
      await sleep(500);
    } finally {
      await load.stop();
    }
  }

  async function kill(service: ServiceName): Promise<void> {
    await stack.kill(service);
    kills[service] = (kills[service] ?? 0) + 1;
  }

  async function lookFor(promised: Promised): Promise<string | null> {
    const { tenant } = promised;
    switch (promised.kind) {
      case 'turn': {
        const { status, json } = await tenant.ask('GET', `${tenant.path}/turns/${promised.turn}`);
        const turn = json as { status?: string; reply?: string };
        return status === 200 && turn.status === 'completed' && turn.reply === promised.reply
          ? null
          : `turn ${promised.turn} of ${tenant.tenant}: ${status} ${turn.status}, answered "${promised.reply}", kept "${turn.reply}"`;
      }
      case 'file': {
        const { status, text } = await tenant.ask('GET', `${tenant.path}/files/${promised.path}`);
        return status === 200 && text === promised.content
          ? null
          : `file ${promised.path} of ${tenant.tenant}: ${status}`;
      }
      case 'memory': {
        const [row] = await rowsOf(
          stack,
          'memory',
          'select 1 from view.memories where tenant_id = $1 and memory_id = $2',
          [tenant.tenant, promised.memoryId],
        );
        return row ? null : `memory ${promised.memoryId} of ${tenant.tenant}`;
      }
      case 'agent': {
        const { status } = await tenant.ask('GET', `${tenant.path}/agents/${promised.agent}`);
        return status === 200 ? null : `agent ${promised.agent} of ${tenant.tenant}: ${status}`;
      }
    }
  }
});
