import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { memory, memoryChanged } from '@reef/contracts';
import { startService, type TestService } from '@reef/testing';
import { definition, MemoryModule } from '../src/memory.module.js';

const { remember, forget } = memory.commands;
const { recall, memories, hasMemories } = memory.queries;

let service: TestService;
beforeAll(async () => {
  service = await startService(definition, MemoryModule);
});
afterAll(async () => {
  expect(await service.replayCheck()).toEqual([]);
  await service[Symbol.asyncDispose]();
});

async function keep(tenant: string, user: string | null, text: string, agent = 'main') {
  const kept = await service.send(remember, tenant, { agent, user, text, turnId: null });
  if (!kept.ok) throw new Error(kept.code);
  return kept.value;
}

async function recalled(tenant: string, user: string | null, text: string, limit = 6, agent = 'main') {
  const found = await service.send(recall, tenant, { agent, user, text, limit });
  if (!found.ok) throw new Error(found.code);
  return found.value.items.map((item) => item.text);
}

describe('recall', () => {
  test('finds the memory that has most words of the question', async () => {
    const tenant = service.tenant();
    await keep(tenant, 'ada', 'Ada has a cat named Ducat');
    await keep(tenant, 'ada', 'Her favourite colour is green');
    await keep(tenant, 'ada', 'She works on engines');
    expect(await recalled(tenant, 'ada', 'What is my favourite colour?', 1)).toEqual(['Her favourite colour is green']);
  });

  test('puts the newer first among equals', async () => {
    const tenant = service.tenant();
    await keep(tenant, 'ada', 'Ada lives in London');
    await keep(tenant, 'ada', 'Ada lives in Paris');
    expect(await recalled(tenant, 'ada', 'Where does Ada live now, which city?')).toEqual([
      'Ada lives in Paris',
      'Ada lives in London',
    ]);
  });

  test('gives the newest where nothing matches', async () => {
    const tenant = service.tenant();
    for (const text of ['one', 'two', 'three']) await keep(tenant, 'ada', text);
    expect(await recalled(tenant, 'ada', 'Hello!', 2)).toEqual(['three', 'two']);
    expect(await recalled(tenant, 'ada', '', 2)).toEqual(['three', 'two']);
  });

  test('reads what was just remembered', async () => {
    const tenant = service.tenant();
    const kept = await keep(tenant, 'ada', 'Ada drinks tea');
    const found = await service.send(recall, tenant, { agent: 'main', user: 'ada', text: 'tea', limit: 6 });
    expect(found).toEqual({ ok: true, value: { items: [kept] } });
  });
});

describe('whose a memory is', () => {
  test("Ada's facts never reach Bob, nor somebody without a name, nor another agent", async () => {
    const tenant = service.tenant();
    await keep(tenant, 'ada', 'the safe opens with 4711');
    expect(await recalled(tenant, 'bob', 'the safe opens with 4711')).toEqual([]);
    expect(await recalled(tenant, null, 'the safe opens with 4711')).toEqual([]);
    expect(await recalled(tenant, 'ada', 'the safe opens with 4711', 6, 'other')).toEqual([]);
    expect(await recalled(tenant, 'ada', 'safe')).toEqual(['the safe opens with 4711']);
    const any = async (user: string | null) => service.send(hasMemories, tenant, { agent: 'main', user });
    expect(await any('ada')).toEqual({ ok: true, value: { any: true } });
    expect(await any('bob')).toEqual({ ok: true, value: { any: false } });
    expect(await any(null)).toEqual({ ok: true, value: { any: false } });
  });

  test('users are who they are called, letter for letter', async () => {
    const tenant = service.tenant();
    for (const user of ['ada', 'Ada', 'ada ', 'shared', "a'; drop table", '🦀', 'x'.repeat(256)]) {
      await keep(tenant, user, `the secret of ${user}`);
    }
    for (const user of ['ada', 'Ada', 'ada ', 'shared', "a'; drop table", '🦀', 'x'.repeat(256)]) {
      expect(await recalled(tenant, user, 'secret')).toEqual([`the secret of ${user}`.trim()]);
    }
    expect(await recalled(tenant, null, 'secret')).toEqual([]);
  });

  test('shared facts reach everybody who talks with the agent', async () => {
    const tenant = service.tenant();
    await keep(tenant, null, 'the office closes at six');
    await keep(tenant, 'ada', 'Ada leaves the office at five');
    expect(new Set(await recalled(tenant, 'ada', 'office'))).toEqual(
      new Set(['the office closes at six', 'Ada leaves the office at five']),
    );
    expect(await recalled(tenant, 'bob', 'office')).toEqual(['the office closes at six']);
    expect(await recalled(tenant, null, 'office')).toEqual(['the office closes at six']);
  });

  test('another tenant sees nothing and can forget nothing', async () => {
    const [acme, globex] = [service.tenant(), service.tenant()];
    const { memoryId } = await keep(acme, 'ada', 'Ada drinks tea');
    expect(await recalled(globex, 'ada', 'tea')).toEqual([]);
    const listed = await service.send(memories, globex, { limit: 50 });
    expect(listed).toEqual({ ok: true, value: { items: [], nextCursor: null } });
    expect(await service.send(forget, globex, { memoryId })).toMatchObject({ ok: false, code: 'memory_not_found' });
    expect(await recalled(acme, 'ada', 'tea')).toEqual(['Ada drinks tea']);
  });

  test('an operator of the platform reads no memories, and a viewer changes none', async () => {
    const tenant = service.tenant();
    const { memoryId } = await keep(tenant, 'ada', 'Ada drinks tea');
    const asOperator = { role: 'operator' as const };
    const question = { agent: 'main', user: 'ada', text: 'tea', limit: 6 };
    for (const refused of [
      await service.send(recall, tenant, question, asOperator),
      await service.send(memories, tenant, { limit: 50 }, asOperator),
      await service.send(hasMemories, tenant, { agent: 'main', user: 'ada' }, asOperator),
      await service.send(forget, tenant, { memoryId }, asOperator),
      await service.send(forget, tenant, { memoryId }, { role: 'viewer' }),
      await service.send(remember, tenant, { agent: 'main', user: null, text: 'x', turnId: null }, { role: 'viewer' }),
    ]) {
      expect(refused).toMatchObject({ ok: false, code: 'forbidden' });
    }
  });
});

describe('remember', () => {
  test('a text that is remembered already stays one memory', async () => {
    const tenant = service.tenant();
    const first = await keep(tenant, 'ada', 'Ada drinks tea');
    expect(await keep(tenant, 'ada', '  Ada drinks tea ')).toEqual(first);
    expect((await keep(tenant, 'bob', 'Ada drinks tea')).memoryId).not.toBe(first.memoryId);
    expect(await service.eventsOf(tenant)).toHaveLength(2);
  });

  test('twenty at once that say the same keep one memory', async () => {
    const tenant = service.tenant();
    const kept = await Promise.all(Array.from({ length: 20 }, () => keep(tenant, 'ada', 'Ada drinks tea')));
    expect(new Set(kept.map(({ memoryId }) => memoryId)).size).toBe(1);
    expect(await recalled(tenant, 'ada', 'tea')).toEqual(['Ada drinks tea']);
  });

  test('the same command twice has one effect and one answer', async () => {
    const tenant = service.tenant();
    const input = { agent: 'main', user: 'ada', text: 'Ada drinks tea', turnId: null };
    const first = await service.send(remember, tenant, input, { commandId: 'once' });
    expect(first.ok).toBe(true);
    expect(await service.send(remember, tenant, input, { commandId: 'once' })).toEqual(first);
    expect(await service.eventsOf(tenant)).toHaveLength(1);
    const other = { ...input, text: 'Ada drinks coffee' };
    expect(await service.send(remember, tenant, other, { commandId: 'once' })).toMatchObject({
      ok: false,
      code: 'command_id_reused',
    });
  });

  test('keeps hostile text letter for letter, and finds it again', async () => {
    const tenant = service.tenant();
    const hostile = [
      `tea' | !cake:* & ('x' <-> "y") -- \\'`,
      `'); drop table view.memories; --`,
      `\\x00 \\u0000 %s $1 {"a":1} {1,2,NULL}`,
      '🦀🦀 crab',
      '日本語のテキスト',
      'ﷺ '.repeat(1_333).trim(),
      'x'.repeat(4_000),
      'w '.repeat(1_998) + 'end',
      Array.from({ length: 800 }, (_, index) => `w${index}`).join(' '),
    ];
    for (const text of hostile) await keep(tenant, 'ada', text);
    for (const text of hostile) expect(await recalled(tenant, 'ada', text, 20)).toContain(text);
    const listed = await service.send(memories, tenant, { limit: 50 });
    expect(listed.ok && listed.value.items.map((item) => item.text)).toEqual(hostile.toReversed());
    expect(await recalled(tenant, 'ada', '\u0000 \ud800 !!! ::: ((( "'.repeat(9_000), 20)).toHaveLength(hostile.length);
  });

  test('refuses what PostgreSQL cannot store, and 4,001 characters', async () => {
    const tenant = service.tenant();
    for (const text of ['nul \u0000', 'half \ud800', '   ', 'x'.repeat(4_001)]) {
      const refused = await service.send(remember, tenant, { agent: 'main', user: 'ada', text, turnId: null });
      expect(refused).toMatchObject({ ok: false, code: 'invalid_input' });
    }
    const refused = await service.send(recall, tenant, { agent: 'main', user: 'a\u0000', text: 'x', limit: 6 });
    expect(refused).toMatchObject({ ok: false, code: 'invalid_input' });
  });

  test('the events hold no readable text', async () => {
    const tenant = service.tenant();
    await keep(tenant, 'ada', 'the safe opens with 4711');
    const { rows } = await service.owner.query<{ whole: string }>(
      `select e::text as whole from es.event e where tenant_id = $1
       union all select c::text from es.command c where tenant_id = $1`,
      [tenant],
    );
    expect(rows).toHaveLength(2);
    for (const { whole } of rows) expect(whole).not.toContain('4711');
  });
});

describe('forget', () => {
  test('what is forgotten is gone, text and all', async () => {
    const tenant = service.tenant();
    const { memoryId } = await keep(tenant, 'ada', 'Ada drinks tea');
    expect(await service.send(forget, tenant, { memoryId })).toEqual({ ok: true, value: {} });
    expect(await recalled(tenant, 'ada', 'tea')).toEqual([]);
    const { rows } = await service.owner.query('select 1 from view.memories where tenant_id = $1', [tenant]);
    expect(rows).toEqual([]);
    expect(await service.send(forget, tenant, { memoryId })).toMatchObject({ ok: false, code: 'memory_not_found' });
  });

  test('the same command twice has the same answer, though the memory is gone', async () => {
    const tenant = service.tenant();
    const { memoryId } = await keep(tenant, 'ada', 'Ada drinks tea');
    const first = await service.send(forget, tenant, { memoryId }, { commandId: 'once' });
    expect(first).toEqual({ ok: true, value: {} });
    expect(await service.send(forget, tenant, { memoryId }, { commandId: 'once' })).toEqual(first);
    expect((await service.eventsOf(tenant)).map(({ type }) => type)).toEqual(['Remembered', 'Forgotten']);
  });
});

describe('the list of memories', () => {
  test('comes in pages, newest first, each memory once', async () => {
    const tenant = service.tenant();
    const texts = Array.from({ length: 7 }, (_, index) => `fact ${index}`);
    for (const text of texts) await keep(tenant, 'ada', text);
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await service.send(memories, tenant, { limit: 3, ...(cursor && { cursor }) });
      if (!page.ok) throw new Error(page.code);
      expect(page.value.items.length).toBeLessThanOrEqual(3);
      seen.push(...page.value.items.map((item) => item.text));
      cursor = page.value.nextCursor ?? undefined;
    } while (cursor);
    expect(seen).toEqual(texts.toReversed());
  });

  test('can be narrowed to an agent and a user', async () => {
    const tenant = service.tenant();
    await keep(tenant, 'ada', 'for ada');
    await keep(tenant, 'bob', 'for bob');
    await keep(tenant, 'ada', 'for ada elsewhere', 'other');
    const narrowed = await service.send(memories, tenant, { limit: 50, agent: 'main', user: 'ada' });
    expect(narrowed.ok && narrowed.value.items.map((item) => item.text)).toEqual(['for ada']);
  });

  test('refuses a cursor that is not ours', async () => {
    const cursors = [
      '',
      'x',
      Buffer.from('["a","b"]').toString('base64url'),
      Buffer.from('[1,2,3]').toString('base64url'),
    ];
    for (const cursor of cursors) {
      const refused = await service.send(memories, service.tenant(), { limit: 3, cursor });
      expect(refused).toMatchObject({ ok: false, code: 'invalid_input' });
    }
  });
});

test('a change is told before the answer, and to its own tenant only', async () => {
  const tenant = service.tenant();
  const heard: string[] = [];
  service.nats.subscribe(memoryChanged.pattern, { callback: (_error, message) => void heard.push(message.subject) });
  await service.nats.flush();
  const { memoryId } = await keep(tenant, 'ada', 'Ada drinks tea');
  expect(heard).toEqual([memoryChanged.subject(tenant)]);
  await service.send(forget, tenant, { memoryId });
  expect(heard).toEqual([memoryChanged.subject(tenant), memoryChanged.subject(tenant)]);
});

test('memories outlive the process, and a rebuilt list is the same list', async () => {
  const tenant = service.tenant();
  const { memoryId } = await keep(tenant, 'ada', 'Ada drinks tea');
  await keep(tenant, 'ada', 'Ada eats cake');
  await service.send(forget, tenant, { memoryId });
  await service.restart();
  expect(await recalled(tenant, 'ada', 'tea cake')).toEqual(['Ada eats cake']);
  expect((await service.replay({ check: false })).differences).toEqual([]);
  expect(await recalled(tenant, 'ada', 'tea cake')).toEqual(['Ada eats cake']);
});
