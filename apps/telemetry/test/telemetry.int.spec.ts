import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { budgets, identity, PLATFORM, telemetry } from '@reef/contracts';
import { type FeedEvent, newId } from '@reef/messaging';
import { eventually, startService, type TestService } from '@reef/testing';
import { recordAudit } from '../src/feed/fold.js';
import { definition, TelemetryModule } from '../src/telemetry.module.js';
import { tell, type Told, turn } from './story.js';

const { costs, costsByTenant, audit, activity } = telemetry.queries;
const all = { limit: 200 };

describe('telemetry', () => {
  let service: TestService;
  beforeAll(async () => {
    service = await startService(definition, TelemetryModule, { env: { LOG_LEVEL: 'silent' } });
  }, 60_000);
  afterAll(async () => {
    await service[Symbol.asyncDispose]();
  });

  /** Every request is answered; the spec is about the values. */
  const ask = async <T>(answer: Promise<{ ok: true; value: T } | { ok: false; code: string }>): Promise<T> => {
    const result = await answer;
    if (!result.ok) throw new Error(result.code);
    return result.value;
  };
  const costsOf = (tenant: string, groupBy: 'agent' | 'user' | 'model' | 'day' | 'session' = 'agent') =>
    ask(service.send(costs, tenant, { groupBy }));
  const activityOf = (tenant: string) => ask(service.send(activity, tenant, { recentMax: 20 }));
  const auditOf = (tenant: string) => ask(service.send(audit, tenant, all));
  const told = (tenant: string, count: number) =>
    eventually(
      () => auditOf(tenant),
      ({ items }) => items.length === count,
    );

  test('a turn of two calls costs what both cost, with its tokens by kind, under its agent, user, model and day', async () => {
    const tenant = service.tenant();
    const { requested, started, completed, call } = turn({
      agent: 'helper',
      user: 'ada',
      at: '2026-11-21T23:59:59.000Z',
    });
    const [one, two] = [call(), call()];
    await tell(
      service,
      tenant,
      requested,
      started,
      one.reserved,
      one.settled('300'),
      two.reserved,
      two.settled('45'),
      completed,
    );
    await told(tenant, 7);

    const sums = {
      costPico: 345n,
      calls: 2,
      turns: 1,
      tokens: { input: 200, cacheRead: 40, cacheWrite: 6, output: 100, reasoning: 14 },
    };
    for (const [groupBy, key] of [
      ['agent', 'helper'],
      ['user', 'ada'],
      ['model', 'openai/gpt-5'],
      ['day', '2026-11-21'],
    ] as const) {
      expect(await costsOf(tenant, groupBy)).toEqual({ items: [{ key, ...sums }], totalPico: 345n });
    }
  });

  test('the dearest group comes first, and both ends of a range of days belong to it', async () => {
    const tenant = service.tenant();
    const days = ['2026-11-19', '2026-11-20', '2026-11-21', '2026-11-22'];
    for (const [index, day] of days.entries()) {
      const { call } = turn({ at: `${day}T00:00:00.000Z` });
      await tell(service, tenant, call().settled(String(10 ** index)));
    }
    await told(tenant, 4);
    const range = await ask(service.send(costs, tenant, { groupBy: 'day', from: '2026-11-20', to: '2026-11-21' }));
    expect(range.items.map(({ key, costPico }) => [key, costPico])).toEqual([
      ['2026-11-21', 100n],
      ['2026-11-20', 10n],
    ]);
    expect(range.totalPico).toBe(110n);
  });

  test('shuffled, with every fifth event twice, the books come out the same to the last digit', async () => {
    const [ordered, shuffled] = [service.tenant(), service.tenant()];
    const events = Array.from({ length: 30 }, (_, index) => {
      const { requested, started, completed, call } = turn({
        agent: index % 2 ? 'main' : 'helper',
        user: index % 3 ? 'ada' : null,
      });
      const [settled, late, dropped] = [call(), call(), call()];
      return [
        ...[requested, started, settled.reserved, settled.settled(`${index}123456789012345678`)],
        ...[late.reserved, late.expired, late.settled(`${index}7`), dropped.reserved, dropped.released],
        ...(index % 4 ? [completed] : []),
      ];
    }).flat();
    await tell(service, ordered, ...events);
    await tell(service, shuffled, ...shuffle([...events, ...events.filter((_, index) => index % 5 === 0)]));
    await eventually(
      () => count(ordered),
      (rows) => rows === events.length,
    );
    await eventually(
      () => count(shuffled),
      (rows) => rows === events.length,
    );

    for (const groupBy of ['agent', 'user', 'model', 'day', 'session'] as const) {
      expect(await costsOf(shuffled, groupBy)).toEqual(await costsOf(ordered, groupBy));
    }
    const byTurn = (shown: Awaited<ReturnType<typeof activityOf>>) => ({
      queued: shown.queued,
      turns: shown.turns.toSorted((one, other) => (one.turn < other.turn ? -1 : 1)),
    });
    expect(byTurn(await activityOf(shuffled))).toEqual(byTurn(await activityOf(ordered)));
    expect((await costsOf(ordered)).items.map(({ calls, turns }) => [calls, turns])).toEqual([
      [30, 15],
      [30, 15],
    ]);
  });

  test("an event of one tenant does not hide another tenant's event with the same id, in whatever batch they come", async () => {
    const [one, other] = [service.tenant(), service.tenant()];
    const { event, data, id } = turn().call().settled('300');
    const toldBy = (tenant: string): FeedEvent => ({
      ...id,
      tenant,
      service: event.service,
      stream: 'test/1',
      version: 1,
      type: event.name,
      schemaVersion: event.schemaVersion,
      data,
      actor: 'service:test',
      causationId: null,
      traceparent: null,
      occurredAt: new Date().toISOString(),
    });
    const client = await service.owner.connect();
    try {
      await client.query('begin');
      const fresh = await recordAudit(client, [one, other, one, other].map(toldBy));
      expect(fresh.map(({ tenant }) => tenant)).toEqual([one, other]);
    } finally {
      await client.query('rollback');
      client.release();
    }
  });

  async function count(tenant: string): Promise<number> {
    const { rows } = await service.owner.query<{ n: number }>(
      'select count(*)::int as n from view.audit where tenant_id = $1',
      [tenant],
    );
    return rows[0]?.n ?? 0;
  }

  test('a running turn shows what it holds and has spent; once it has ended, it is among the recent ones', async () => {
    const tenant = service.tenant();
    const { turnId, requested, started, completed, call } = turn();
    const [done, open] = [call(), call()];
    await tell(service, tenant, requested);
    await told(tenant, 1);
    expect(await activityOf(tenant)).toMatchObject({
      queued: 1,
      turns: [{ turn: turnId, stage: 'queued' }],
      recent: [],
    });

    await tell(service, tenant, started, done.reserved, done.settled('300'), open.reserved);
    await told(tenant, 5);
    expect(await activityOf(tenant)).toMatchObject({
      queued: 0,
      turns: [{ turn: turnId, agent: 'main', user: 'ada', stage: 'running', heldPico: 900n, spentPico: 300n }],
      recent: [],
    });

    await tell(service, tenant, completed, open.released);
    await told(tenant, 7);
    expect(await activityOf(tenant)).toMatchObject({
      queued: 0,
      turns: [],
      recent: [{ turn: turnId, stage: 'completed', spentPico: 300n }],
    });
  });

  test('a turn does not start again when its start is heard after its end', async () => {
    const tenant = service.tenant();
    const { turnId, requested, started, completed } = turn();
    await tell(service, tenant, completed, started, requested);
    await told(tenant, 3);
    expect(await activityOf(tenant)).toMatchObject({ turns: [], recent: [{ turn: turnId, stage: 'completed' }] });
  });

  test('the audit tells every event once, in order, page by page, with personal fields sealed', async () => {
    const tenant = service.tenant();
    const { requested, started, completed } = turn();
    await tell(service, tenant, requested, started, requested, completed);
    const whole = await told(tenant, 3);
    expect(whole.items.map(({ type }) => type)).toEqual(['TurnRequested', 'TurnStarted', 'TurnCompleted']);
    expect(whole.items[0]?.data).toMatchObject({ message: 'sealed', agent: 'main' });
    expect(whole.items[2]?.data).toMatchObject({ reply: 'sealed', usage: null });
    expect(whole.nextCursor).toBeNull();

    const first = await ask(service.send(audit, tenant, { limit: 2 }));
    const rest = await ask(service.send(audit, tenant, { limit: 2, cursor: first.nextCursor! }));
    expect([...first.items, ...rest.items]).toEqual(whole.items);
    expect(rest.nextCursor).toBeNull();
  });

  test('a cursor that is not ours is refused', async () => {
    for (const cursor of ['nonsense', Buffer.from('["x","y"]').toString('base64url')]) {
      expect(await service.send(audit, service.tenant(), { limit: 2, cursor })).toMatchObject({
        ok: false,
        code: 'invalid_input',
      });
    }
  });

  test('a tenant sees nothing of another', async () => {
    const [acme, other] = [service.tenant(), service.tenant()];
    const { requested, call } = turn();
    await tell(service, acme, requested, call().settled('300'));
    await told(acme, 2);
    expect(await costsOf(other)).toEqual({ items: [], totalPico: 0n });
    expect(await activityOf(other)).toEqual({ turns: [], queued: 0, recent: [] });
    expect(await auditOf(other)).toEqual({ items: [], nextCursor: null });
  });

  test('only an operator on the platform sees which tenant costs most', async () => {
    const [small, large] = [service.tenant(), service.tenant()];
    const dear = 10n ** 30n;
    await tell(service, small, turn().call().settled(String(dear)));
    await tell(
      service,
      large,
      turn()
        .call()
        .settled(String(2n * dear)),
    );
    await Promise.all([told(small, 1), told(large, 1)]);

    const input = { limit: 2 };
    const seen = await ask(service.send(costsByTenant, PLATFORM, input, { role: 'operator' }));
    expect(seen.items).toEqual([
      { tenant: large, costPico: 2n * dear, calls: 1, turns: 1 },
      { tenant: small, costPico: dear, calls: 1, turns: 1 },
    ]);
    expect(seen.totalPico).toBeGreaterThanOrEqual(3n * dear);
    for (const [tenant, role] of [
      [PLATFORM, 'none'],
      [small, 'owner'],
      [small, 'operator'],
    ] as const) {
      expect(await service.send(costsByTenant, tenant, input, { role })).toMatchObject({
        ok: false,
        code: 'forbidden',
      });
    }
  });

  test('an event of no known shape is audited and holds up nobody', async () => {
    const tenant = service.tenant();
    await service.publish(budgets.events.Settled, tenant, { reservationId: 'odd', secret: 'text' });
    await service.publish({ ...identity.events.TenantCreated, name: 'Unheard' }, tenant, { secret: 'text' });
    await tell(service, tenant, turn().call().settled('300'));
    const { items } = await told(tenant, 3);
    expect(items.find(({ type }) => type === 'Unheard')?.data).toEqual({ secret: 'sealed' });
    expect(await costsOf(tenant)).toMatchObject({ totalPico: 300n });
  });

  test('an event that the database refuses comes again and again, and the others are folded meanwhile', async () => {
    const tenant = service.tenant();
    const { event, data } = turn().call().settled('1');
    await Promise.all([
      service.publish(event, tenant, data, { eventId: 'no-uuid' }),
      ...Array.from({ length: 5 }, () => tell(service, tenant, turn().call().settled('300'))),
    ]);
    await told(tenant, 5);
    expect(await costsOf(tenant)).toMatchObject({ totalPico: 1500n });
  });

  test('a rebuild finds rows that are missing, altered or invented, mends them, and then finds none', async () => {
    const tenant = service.tenant();
    const [one, two] = [turn().call(), turn().call()];
    await tell(service, tenant, one.settled('300'), two.reserved, two.settled('45'));
    await told(tenant, 3);
    expect(await service.replayCheck()).toEqual([]);

    const [lost, altered, invented] = [
      one.settled('0').data['reservationId'],
      two.reserved.data['reservationId'],
      newId(),
    ];
    await service.owner.query('delete from view.calls where reservation_id = $1', [lost]);
    await service.owner.query('update view.calls set cost_pico = 1 where reservation_id = $1', [altered]);
    await service.owner.query('insert into view.turns (tenant_id, turn_id, stage) values ($1, $2, 0)', [
      tenant,
      invented,
    ]);
    const found = [
      `calls ${tenant}/${altered} differs`,
      `calls ${tenant}/${lost} is missing`,
      `turns ${tenant}/${invented} follows from no event`,
    ].sort();
    expect([...(await service.replayCheck())].sort()).toEqual(found);
    expect([...(await service.replay({ check: false })).differences].sort()).toEqual(found);
    expect(await service.replayCheck()).toEqual([]);
    expect(await costsOf(tenant)).toMatchObject({ totalPico: 345n });
  });

  test('a rebuild loses nothing that is folded while it runs', async () => {
    const tenant = service.tenant();
    let telling = true;
    let events = 0;
    const teller = (async () => {
      while (telling) {
        await tell(service, tenant, turn().call().settled('1'));
        events++;
      }
    })();
    for (let round = 0; round < 5; round++) {
      expect((await service.replay({ check: round % 2 === 0 })).differences).toEqual([]);
    }
    telling = false;
    await teller;
    await eventually(
      () => costsOf(tenant),
      ({ totalPico }) => totalPico === BigInt(events),
    );
    expect(await service.replayCheck()).toEqual([]);
  });

  test('after a restart it goes on where it was', async () => {
    const tenant = service.tenant();
    await tell(service, tenant, turn().call().settled('300'));
    await told(tenant, 1);
    await service.restart();
    await tell(service, tenant, turn().call().settled('45'));
    await told(tenant, 2);
    expect(await costsOf(tenant)).toMatchObject({ totalPico: 345n });
  });
});

function shuffle(events: readonly Told[]): Told[] {
  return events
    .map((event) => ({ event, place: Math.random() }))
    .sort((one, other) => one.place - other.place)
    .map(({ event }) => event);
}
