import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { headers } from '@nats-io/transport-node';
import { EventStore, TenantKeys, Views } from '@reef/eventing';
import { newId } from '@reef/messaging';
import { serviceContext } from '@reef/service';
import { eventually, startService, type TestService } from '@reef/testing';
import pg from 'pg';
import { definition, purse, PurseRow, PursesModule, purses } from './purses.js';

let service: TestService;
beforeAll(async () => {
  service = await startService(definition, PursesModule);
});
afterAll(async () => service[Symbol.asyncDispose]());

const put = (tenant: string, amountPico: bigint, more: { purse?: string; commandId?: string; note?: string } = {}) =>
  service.send(
    purses.commands.put,
    tenant,
    { purse: more.purse ?? 'main', amountPico, note: more.note ?? 'pocket money' },
    more.commandId ? { commandId: more.commandId } : {},
  );
const take = (tenant: string, amountPico: bigint) =>
  service.send(purses.commands.take, tenant, { purse: 'main', amountPico });

describe('a command', () => {
  test('becomes an event, a row of the read model and a reply that has seen it', async () => {
    const tenant = service.tenant();
    expect(await put(tenant, 70n)).toEqual({ ok: true, value: { balancePico: 70n } });
    expect(await take(tenant, 30n)).toEqual({ ok: true, value: { balancePico: 40n } });
    const views = service.app.get(Views);
    const rows = await views.of(tenant).find(PurseRow, {});
    expect(rows).toMatchObject([{ purse: 'main', balancePico: '40' }]);
    expect(await views.open(tenant, 'purses', 'last_note', rows[0]?.lastNote ?? '')).toBe('pocket money');
    expect((await service.eventsOf(tenant)).map(({ type }) => type)).toEqual(['Put', 'Taken']);
  });

  test('that is refused changes nothing', async () => {
    const tenant = service.tenant();
    await put(tenant, 10n);
    expect(await take(tenant, 11n)).toMatchObject({ ok: false, code: 'too_little', details: { balancePico: '10' } });
    expect(await service.eventsOf(tenant)).toHaveLength(1);
  });

  test('sent again under its id happens once and is answered as the first time', async () => {
    const tenant = service.tenant();
    const commandId = newId();
    const first = await put(tenant, 5n, { commandId });
    await put(tenant, 1n);
    expect(await put(tenant, 5n, { commandId })).toEqual(first);
    expect(await service.eventsOf(tenant)).toHaveLength(2);
    // The stream stands where it stood.
    expect(await put(tenant, 1n)).toEqual({ ok: true, value: { balancePico: 7n } });
  });

  test('sent a hundred times at once under one id happens once', async () => {
    const tenant = service.tenant();
    const commandId = newId();
    const replies = await Promise.all(Array.from({ length: 100 }, () => put(tenant, 5n, { commandId })));
    expect(new Set(replies.map((reply) => JSON.stringify(reply, (_k, v: unknown) => String(v)))).size).toBe(1);
    expect(await service.eventsOf(tenant)).toHaveLength(1);
  });

  test('of another content under a used id is refused', async () => {
    const tenant = service.tenant();
    const commandId = newId();
    await put(tenant, 5n, { commandId });
    expect(await put(tenant, 6n, { commandId })).toMatchObject({ ok: false, code: 'command_id_reused' });
  });

  test('on two streams happens on both or on neither', async () => {
    const tenant = service.tenant();
    await put(tenant, 10n);
    const move = (amountPico: bigint) =>
      service.send(purses.commands.move, tenant, { from: 'main', to: 'other', amountPico });
    expect(await move(11n)).toMatchObject({ ok: false, code: 'too_little' });
    expect(await service.eventsOf(tenant)).toHaveLength(1);
    expect(await move(10n)).toEqual({ ok: true, value: { moved: true } });
    expect((await service.eventsOf(tenant)).map(({ stream, type }) => `${stream} ${type}`).sort()).toEqual([
      'purse/main Put',
      'purse/main Taken',
      'purse/other Put',
    ]);
  });

  test('without a context, with a foreign one, or with unknown fields is refused before anything is decided', async () => {
    const tenant = service.tenant();
    const stranger = service.signer.sign({
      tenant: service.tenant(),
      principal: { kind: 'user', id: 'eve' },
      role: 'owner',
    });
    const input = { purse: 'main', amountPico: 1n, note: '' };
    expect(await service.requests.send(purses.commands.put, { tenant, token: '' }, input)).toMatchObject({
      code: 'unauthenticated',
    });
    expect(await service.requests.send(purses.commands.put, { tenant, token: stranger }, input)).toMatchObject({
      code: 'unauthenticated',
    });
    expect(await service.send(purses.commands.put, tenant, { ...input, extra: 1 } as typeof input)).toMatchObject({
      code: 'invalid_input',
    });
    const header = headers();
    header.set('reef-context', service.signer.sign({ tenant, principal: { kind: 'user', id: 'ada' }, role: 'owner' }));
    for (const payload of [
      '{"purse":"main","amountPico":"1","note":"","extra":1}',
      '{"purse":"main","amountPico":1,"note":""}',
      '{',
      '[]',
    ]) {
      const reply = await service.nats.request(purses.commands.put.subject(tenant), payload, {
        headers: header,
        timeout: 5_000,
      });
      expect(reply.json()).toMatchObject({ ok: false, code: 'invalid_input' });
    }
    expect(await service.eventsOf(tenant)).toHaveLength(0);
  });
});

describe('personal text', () => {
  test('is nowhere in the tables', async () => {
    const tenant = service.tenant();
    await put(tenant, 1n, { note: 'the-secret-of-ada' });
    const { rows } = await service.owner.query(
      `select (select count(*)::int from es.event where data::text like '%the-secret-of-ada%') as events,
              (select count(*)::int from view.purses where last_note like '%the-secret-of-ada%') as rows`,
    );
    expect(rows).toEqual([{ events: 0, rows: 0 }]);
  });

  test('of one tenant does not open with the key of another', async () => {
    const keys = service.app.get(TenantKeys);
    await keys.ensure(['ada', 'bob']);
    const sealed = keys.seal('ada', 'place', 'text');
    expect(keys.open('ada', 'place', sealed)).toBe('text');
    expect(() => keys.open('bob', 'place', sealed)).toThrow();
    expect(() => keys.open('ada', 'elsewhere', sealed)).toThrow();
  });
});

describe('the log', () => {
  test('of two processes that write one stream is without gaps, and neither starves', async () => {
    const tenant = service.tenant();
    const pool = new pg.Pool({ connectionString: process.env['DATABASE_URL'], max: 2 });
    const keys = service.app.get(TenantKeys);
    const other = new EventStore({
      service: 'purses',
      pool,
      writer: pool,
      keys,
      onCommit: () => undefined,
      onBug: () => undefined,
    });
    const mine = service.app.get(EventStore);
    const write = async (store: EventStore) => {
      for (let i = 0; i < 50; i++) {
        const result = await store.execute(purse, {
          tenant,
          stream: 'purse/shared',
          command: { type: 'put', data: { amountPico: 1n, note: '' } },
          context: serviceContext(tenant, 'test'),
        });
        expect(result.ok).toBe(true);
      }
    };
    await Promise.all([write(mine), write(other), write(mine), write(other)]);
    await Promise.all([write(mine), write(other)]); // Now each commit holds one command.
    const { state, version } = await mine.load(purse, tenant, 'purse/shared');
    expect([state.balancePico, version]).toEqual([300n, 300]);
    await other.stop();
    await pool.end();
  });

  test('is published in order, each event once', async () => {
    const tenant = service.tenant();
    for (let i = 1; i <= 20; i++) await put(tenant, BigInt(i));
    const last = await service.nextEvent(purses.events.Put, tenant, ({ version }) => version === 20);
    expect(last.data).toMatchObject({ amountPico: '20' });
  });

  test('tells what a stream was at an earlier time', async () => {
    const tenant = service.tenant();
    await put(tenant, 1n);
    const between = new Date();
    await new Promise((resolve) => setTimeout(resolve, 20));
    await put(tenant, 2n);
    const state = await service.app.get(EventStore).asOf(purse, tenant, 'purse/main', between);
    expect(state.balancePico).toBe(1n);
  });

  test('folds an event of an older shape as if it were written today', async () => {
    const tenant = service.tenant();
    await put(tenant, 1n);
    await service.owner.query(
      `update es.event set schema_version = 1, data = data - 'amountPico' || '{"dollars": 3}' where tenant_id = $1`,
      [tenant],
    );
    const { state } = await service.app.get(EventStore).load(purse, tenant, 'purse/main');
    expect(state.balancePico).toBe(3_000_000_000_000n);
    await service.owner.query('delete from es.event where tenant_id = $1', [tenant]);
    await service.owner.query('delete from es.stream where tenant_id = $1', [tenant]);
    await service.owner.query('delete from view.purses where tenant_id = $1', [tenant]);
  });

  test('of a long stream is folded from its snapshot, which is sealed', async () => {
    const tenant = service.tenant();
    for (let i = 0; i < 12; i++) await put(tenant, 1n, { note: `note-${i}` });
    const snapshots = await eventually(
      async () =>
        (await service.owner.query('select version, state from es.snapshot where tenant_id = $1', [tenant])).rows as {
          version: number;
          state: string;
        }[],
      (rows) => rows.length === 1,
    );
    expect(snapshots[0]?.version).toBe(10);
    expect(Buffer.from(snapshots[0]?.state ?? '', 'base64').toString('latin1')).not.toContain('note-9');
    expect((await service.app.get(EventStore).load(purse, tenant, 'purse/main')).state).toMatchObject({
      balancePico: 12n,
    });
  });
});

describe('the read models', () => {
  test('are what the events say, and a difference is found and mended', async () => {
    const tenant = service.tenant();
    await put(tenant, 9n);
    expect(await service.replayCheck()).toEqual([]);
    await service.owner.query('update view.purses set balance_pico = 8 where tenant_id = $1', [tenant]);
    expect(await service.replayCheck()).toEqual([`purses ${tenant} main: balance_pico differ`]);
    await service.replay({ check: false });
    expect(await service.replayCheck()).toEqual([]);
  });

  test('show one tenant nothing of another, and a query without a tenant fails', async () => {
    const [ada, bob] = [service.tenant(), service.tenant()];
    await put(ada, 9n);
    expect(await service.app.get(Views).of(bob).find(PurseRow, {})).toEqual([]);
    const app = new pg.Client({ connectionString: process.env['DATABASE_URL'] });
    await app.connect();
    await expect(app.query('select * from view.purses')).rejects.toThrow();
    await expect(app.query('select * from es.event')).rejects.toThrow();
    await app.end();
  });

  test('and all other tables are under forced row-level security', async () => {
    const { rows } = await service.owner.query(
      `select n.nspname || '.' || c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where n.nspname in ('es', 'view') and c.relkind = 'r' and c.relname <> 'migrations' and not (c.relrowsecurity and c.relforcerowsecurity)`,
    );
    expect(rows).toEqual([]);
  });
});
