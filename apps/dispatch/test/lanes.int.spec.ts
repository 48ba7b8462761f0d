import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { headers } from '@nats-io/transport-node';
import { budgets, dispatch, type InputOf, PLATFORM } from '@reef/contracts';
import { ContextSigner, HEADER, newId } from '@reef/messaging';
import { FEED_DATABASE, type RunningService, startService as startInstance } from '@reef/service';
import { eventually, startService, type TestService } from '@reef/testing';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'pg';
import { Leases } from '../src/lanes/leases.js';
import { workerNamed } from '../src/lanes/worker-name.js';
import { definition, DispatchModule } from '../src/dispatch.module.js';
import { LANE_WAITING_PER_TENANT_MAX } from '../src/domain/lane.js';
import { laneSubject } from '../src/lanes/messages.js';
import { WORKER } from '../src/tokens.js';
import { CountingProvider } from './lanes-provider.js';
import { Listener } from './listener.js';
import { Neighbours } from './neighbours.js';
import { startApp } from './processes.js';

const { commands } = dispatch;
const RUNNING_MAX = 4;

let provider: CountingProvider;
let service: TestService;
let neighbours: Neighbours;
let edge: Listener;

beforeAll(async () => {
  provider = await CountingProvider.start();
  const env = { SIMULATOR_URL: provider.url, REEF_LANE_RUNNING_MAX: String(RUNNING_MAX) };
  service = await startService(definition, DispatchModule, { env });
  neighbours = new Neighbours(service.nats, process.env['CONTEXT_JWKS_FILE'] ?? '');
  edge = new Listener(service.nats, 'edge1');
}, 90_000);
afterAll(async () => {
  expect(await service.replayCheck()).toEqual([]);
  await service[Symbol.asyncDispose]();
  await provider[Symbol.asyncDispose]();
}, 60_000);

/** A tenant whose agent uses this model. */
async function tenantWith(model: string): Promise<string> {
  const tenant = service.tenant();
  const made = await service.send(commands.createAgent, tenant, { agent: 'worker', model: `simulator/${model}` });
  if (!made.ok) throw new Error(made.message);
  return tenant;
}

function turnOf(session: string | null = null): InputOf<typeof commands.startTurn> {
  const about = { agent: 'worker', session, user: null, message: 'Hello', history: [], instructions: null };
  return { turnId: newId(), ...about, source: 'chat', keyId: null, outputTokensMax: 100, edgeId: edge.edgeId };
}

/** Starts a turn that must be accepted. */
async function start(tenant: string, session: string | null = null): Promise<string> {
  const input = turnOf(session);
  const result = await service.send(commands.startTurn, tenant, input, { timeoutMs: 30_000 });
  if (!result.ok) throw new Error(`${result.code}: ${result.message}`);
  return input.turnId;
}

const startMany = (count: number, tenant: string) => Promise.all(Array.from({ length: count }, () => start(tenant)));
const endsOf = async (turns: readonly string[]) =>
  Promise.all(turns.map(async (turnId) => (await edge.heard(turnId)).end.status));

async function ownerOf(model: string): Promise<string> {
  const feed = service.app.get<Pool>(FEED_DATABASE);
  const { rows } = await feed.query<{ owner: string }>('select owner from es.lane where lane = $1', [
    `simulator/${model}`,
  ]);
  return rows[0]?.owner ?? '';
}

describe('a place that a supervisor keeps one process in', () => {
  test('frees what its dead process had leased as soon as the next one is there, and nobody else’s', async () => {
    const feed = service.app.get<Pool>(FEED_DATABASE);
    const processIn = (place: string) => new Leases(feed, workerNamed(place));
    const [dead, elsewhere] = [processIn('dispatch-2'), processIn('dispatch-3')];
    for (const process of [dead, elsewhere]) await process.beat();
    await dead.claim('simulator/left-behind');
    await elsewhere.claim('simulator/kept');

    const next = processIn('dispatch-2');
    expect(await next.claim('simulator/left-behind')).toMatchObject({ isMine: false });
    await next.bury();
    await next.beat();
    expect(await next.claim('simulator/left-behind')).toMatchObject({ isMine: true, isNew: false });
    expect(await next.claim('simulator/kept')).toMatchObject({ isMine: false });
    for (const process of [next, elsewhere]) await process.leave();
  });

  test('is told by nobody to a process that is started by hand: it waits for leases to end', async () => {
    const feed = service.app.get<Pool>(FEED_DATABASE);
    const [dead, next] = [new Leases(feed, workerNamed(undefined)), new Leases(feed, workerNamed(undefined))];
    await dead.claim('simulator/by-hand');
    await next.bury();
    expect(await next.claim('simulator/by-hand')).toMatchObject({ isMine: false });
    await dead.leave();
  });
});

describe('a lane in one process', () => {
  test('lets so many run and the others wait, which hold no money meanwhile', async () => {
    const tenant = await tenantWith('narrow');
    provider.answering.holdMs = 20;
    await endsOf([await start(tenant)]);
    provider.answering.holdMs = 600;
    const turns = await startMany(10, tenant);
    await eventually(async () => provider.runningOf('narrow') === RUNNING_MAX);
    await sleep(100);
    expect(neighbours.asked(budgets.commands.reserve, tenant)).toHaveLength(1 + RUNNING_MAX);
    expect(await endsOf(turns)).toEqual(turns.map(() => 'completed'));
    expect(provider.mostOf('narrow')).toBe(RUNNING_MAX);
    expect(neighbours.unbalanced(tenant)).toEqual([]);
  });

  test('lets a quiet tenant by a noisy one: it waits for one turn, not for all that wait', async () => {
    const [noisy, quiet] = [await tenantWith('shared'), await tenantWith('shared')];
    provider.answering.holdMs = 400;
    const crowd = await startMany(40, noisy);
    const startedMs = performance.now();
    expect(await endsOf([await start(quiet)])).toEqual(['completed']);
    // Its own 400 ms, and at most another's before that; 40 turns, four at once, take 4,000 ms.
    expect(performance.now() - startedMs).toBeLessThan(2_000);
    provider.answering.holdMs = 20;
    expect(await endsOf(crowd)).toEqual(crowd.map(() => 'completed'));
  });

  test('takes a cancelled turn out of the queue, and it never runs', async () => {
    const tenant = await tenantWith('cancelled');
    provider.answering.holdMs = 20;
    await endsOf([await start(tenant)]);
    provider.answering.holdMs = 500;
    const turns = await startMany(RUNNING_MAX + 2, tenant);
    await eventually(async () => provider.runningOf('cancelled') === RUNNING_MAX);
    const asked = neighbours.asked(budgets.commands.reserve, tenant).map(({ input }) => input.attribution.turnId);
    const waiting = turns.filter((turnId) => !asked.includes(turnId));
    expect(waiting).toHaveLength(2);
    await service.send(commands.cancelTurn, tenant, { turnId: waiting[0]! });
    expect((await edge.heard(waiting[0]!)).end.status).toBe('cancelled');
    expect(provider.runningOf('cancelled')).toBe(RUNNING_MAX);
    await endsOf(turns);
    expect(provider.startedAtMs('cancelled')).toHaveLength(1 + RUNNING_MAX + 1);
    expect(neighbours.unbalanced(tenant)).toEqual([]);
  });

  test('keeps no permit for turns that wait for their session', async () => {
    const tenant = await tenantWith('sessions');
    provider.answering.holdMs = 20;
    await endsOf([await start(tenant)]);
    provider.answering.holdMs = 500;
    const queued = [];
    for (let count = 0; count < RUNNING_MAX; count++) queued.push(await start(tenant, 'desk'));
    const others = await startMany(RUNNING_MAX - 1, tenant);
    await eventually(async () => provider.runningOf('sessions') === RUNNING_MAX);
    expect(await endsOf([...queued, ...others])).toEqual([...queued, ...others].map(() => 'completed'));
    expect(provider.mostOf('sessions')).toBe(RUNNING_MAX);
    expect(neighbours.unbalanced(tenant)).toEqual([]);
  });

  test('pauses when its provider asks for that, for every tenant', async () => {
    const [one, other] = [await tenantWith('throttled'), await tenantWith('throttled')];
    provider.answering.holdMs = 20;
    provider.answering.refusals = [1_500];
    const first = await start(one);
    await eventually(async () => provider.startedAtMs('throttled').length === 1);
    await sleep(50);
    const second = await start(other);
    expect(await endsOf([first, second])).toEqual(['completed', 'completed']);
    const [refusedAtMs, ...laterMs] = provider.startedAtMs('throttled');
    expect(laterMs).toHaveLength(2);
    for (const atMs of laterMs) expect(atMs - refusedAtMs!).toBeGreaterThan(1_400);
  });

  test('refuses a tenant that has enough waiting before its turn is written, and says when to come again', async () => {
    const tenant = await tenantWith('full');
    provider.answering.holdMs = 30_000;
    const turns = await startMany(RUNNING_MAX, tenant);
    turns.push(...(await startMany(LANE_WAITING_PER_TENANT_MAX, tenant)));
    const refused = await service.send(commands.startTurn, tenant, turnOf());
    expect(refused).toMatchObject({ ok: false, code: 'overloaded', details: { retryAfterMs: expect.any(Number) } });
    const requested = (await service.eventsOf(tenant)).filter(({ type }) => type === 'TurnRequested');
    expect(requested).toHaveLength(turns.length);
    for (const turnId of turns.toReversed()) await service.send(commands.cancelTurn, tenant, { turnId });
    expect(await endsOf(turns)).toEqual(turns.map(() => 'cancelled'));
    expect(neighbours.unbalanced(tenant)).toEqual([]);
  }, 60_000);
});

test('a lane listens to processes of dispatch alone: not to the edge, and to nothing that is signed for somebody else', async () => {
  const tenant = await tenantWith('guarded');
  provider.answering.holdMs = 20;
  await endsOf([await start(tenant)]);
  const { rows } = await service.app
    .get<Pool>(FEED_DATABASE)
    .query<{ fence: string }>(`select fence from es.lane where lane = 'simulator/guarded'`);
  const where = { lane: 'simulator/guarded', fence: Number(rows[0]?.fence) };
  const turn = { id: newId(), tenant, agent: 'worker', priority: 0, weight: 1, cost: 1 };
  const ask = async (signer: ContextSigner, id: string) => {
    const header = headers();
    header.set(HEADER.context, signer.sign({ tenant: PLATFORM, principal: { kind: 'service', id }, role: 'none' }));
    const subject = laneSubject(service.app.get<string>(WORKER));
    const payload = JSON.stringify({ type: 'ask', ...where, turn });
    const reply = await service.nats.request(subject, payload, { headers: header, timeout: 300 }).catch(() => null);
    return reply?.json() ?? null;
  };
  const dispatchSigner = service.app.get(ContextSigner);
  expect(await ask(service.signer, 'lanes:other')).toBeNull();
  expect(await ask(dispatchSigner, 'dispatch')).toBeNull();
  expect(await ask(dispatchSigner, 'lanes:other')).toEqual({ status: 'granted' });
});

describe('a lane over three processes', () => {
  let second: RunningService;
  let third: ChildProcess;
  const isThird = (worker: string) => worker.includes(`-${third.pid}-`);

  beforeAll(async () => {
    second = await startInstance(definition, DispatchModule);
    ({ process: third } = await startApp('dispatch', { ...process.env, LOG_LEVEL: 'info' }));
  }, 60_000);
  afterAll(async () => {
    await second.close();
    if (third.exitCode === null && third.signalCode === null) third.kill('SIGKILL');
  });

  test('lets no more run than one process would, whoever accepted them', async () => {
    const tenants = await Promise.all([1, 2, 3].map(() => tenantWith('wide')));
    provider.answering.holdMs = 150;
    const turns = (await Promise.all(tenants.map((tenant) => startMany(20, tenant)))).flat();
    expect(await endsOf(turns)).toEqual(turns.map(() => 'completed'));
    expect(provider.mostOf('wide')).toBe(RUNNING_MAX);
    const { rows } = await service.owner.query('select distinct worker from view.turns where tenant_id = any($1)', [
      tenants,
    ]);
    expect(rows).toHaveLength(3);
    for (const tenant of tenants) expect(neighbours.unbalanced(tenant)).toEqual([]);
  }, 60_000);

  test('whose owner is killed is taken over within ten seconds: nothing is stuck, and no more run than may', async () => {
    provider.answering.holdMs = 20;
    let model = '';
    for (let attempt = 1; !isThird(await ownerOf(model)); attempt++) {
      model = `taken-over-${attempt}`;
      await endsOf([await start(await tenantWith(model))]);
    }
    const tenant = await tenantWith(model);
    provider.answering.holdMs = 14_000; // Longer than a lease: what runs now still runs under the next owner.
    const turns = await startMany(40, tenant);
    await eventually(async () => provider.runningOf(model) === RUNNING_MAX);
    provider.answering.holdMs = 200;
    const exit = once(third, 'exit');
    third.kill('SIGKILL');
    await exit;
    await eventually(async () => !isThird(await ownerOf(model)));
    const { rows } = await service.owner.query<{ turn_id: string; worker: string }>(
      'select turn_id, worker from view.turns where tenant_id = $1',
      [tenant],
    );
    const died = new Set(rows.filter(({ worker }) => isThird(worker)).map((row) => row.turn_id));
    const survived = turns.filter((turnId) => !died.has(turnId));
    expect(await endsOf(survived)).toEqual(survived.map(() => 'completed'));
    expect(provider.mostOf(model)).toBe(RUNNING_MAX);
  }, 90_000);

  test('goes on at once when its owner stops in order', async () => {
    provider.answering.holdMs = 20;
    const restarted = await startInstance(definition, DispatchModule);
    const tenant = await tenantWith('handed-over');
    try {
      // Whoever owns it: when all but one have gone in order, that one has it without waiting for a lease.
      await endsOf(await startMany(6, tenant));
    } finally {
      await restarted.close();
    }
    const startedMs = performance.now();
    await endsOf(await startMany(6, tenant));
    expect(performance.now() - startedMs).toBeLessThan(4_000);
  }, 60_000);
});
