import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { nameOf, type Operation, operationsOf, requestFor } from './api.js';
import { eventsOf } from './books.js';
import type { Answer, Ask } from './http.js';
import { START_LIMIT_MS, type Stack, startStack, type Tenant } from './stack.js';

const SECRET = 'mother-of-pearl';
const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];

// Every probe is made from the document of the running edge: a new route is probed as soon as it is documented.
describe('of two tenants, one', () => {
  let stack: Stack;
  let ours: Tenant;
  let theirs: Tenant;
  /** What theirs has, by the parameter that names it, and the same for what nobody has. */
  let their: Record<string, string>;
  let nobodys: Record<string, string>;
  let operations: Operation[];
  let eventsBefore: Record<string, number>;
  let probes = 0;

  beforeAll(async () => {
    stack = await startStack();
    operations = await operationsOf(stack);
    [ours, theirs] = await Promise.all([stack.signUp(), stack.signUp()]);
    their = await furnish(theirs);
    nobodys = {
      agent: 'no-agent-here',
      session: 'agent:pearl-diver:openai-user:nobody',
      turn: randomUUID(),
      path: 'pearl-diver/nothing.md',
      memory: randomUUID(),
      key: 'a1b2c3d4e5f6a7b8',
      webhook: randomUUID(),
      id: 'openclaw/no-agent-here',
      tenant: 'no-such-tenant-here',
    };
    eventsBefore = await eventsOf(stack, theirs.tenant);
  }, START_LIMIT_MS);
  afterAll(async () => {
    process.stdout.write(`two tenants: ${probes} probes\n`);
    await stack?.[Symbol.asyncDispose]();
  }, START_LIMIT_MS);

  test('cannot tell another tenant’s path from one that does not exist, whatever the route and the method', async () => {
    for (const operation of ofPlane('tenant')) {
      for (const ids of [their, nobodys]) {
        const there = await probe(operation, { ...ids, tenant: theirs.tenant }, { key: ours.apiKey });
        const nowhere = await probe(operation, { ...ids, tenant: nobodys['tenant']! }, { key: ours.apiKey });
        expect({ of: nameOf(operation), ...seen(there) }).toEqual({ of: nameOf(operation), ...seen(nowhere) });
        expect({ of: nameOf(operation), status: there.status }).toEqual({ of: nameOf(operation), status: 404 });
      }
    }
  }, 60_000);

  test('cannot tell another tenant’s agent, session, turn, file, memory, key or webhook from one that does not exist', async () => {
    const named = ofPlane('tenant', 'agents').filter(
      (operation) =>
        operation.inPath.some((name) => name !== 'tenant') &&
        nameOf(operation) !== 'PUT /api/tenants/{tenant}/files/{path}',
    );
    expect(named.length).toBeGreaterThan(8);
    for (const operation of named) {
      const foreign = await probe(operation, { ...their, tenant: ours.tenant }, { key: ours.apiKey });
      const absent = await probe(operation, { ...nobodys, tenant: ours.tenant }, { key: ours.apiKey });
      expect({ of: nameOf(operation), ...seen(foreign) }).toEqual({ of: nameOf(operation), ...seen(absent) });
      expect({ of: nameOf(operation), status: foreign.status }).toEqual({ of: nameOf(operation), status: 404 });
    }
  }, 60_000);

  test('finds nothing of another tenant in a list, whatever it filters by and whosever cursor it sends', async () => {
    const lists = ofPlane('tenant').filter(
      ({ method, inQuery, inPath }) => method === 'GET' && inQuery.length > 0 && inPath.length === 1,
    );
    for (const operation of lists) {
      const filters = ['agent', 'user', 'prefix'].filter((name) => operation.inQuery.includes(name));
      for (const filter of filters) {
        const asked = (values: Record<string, string>) =>
          probe(operation, { tenant: ours.tenant, [`?${filter}`]: values[`?${filter}`]! }, { key: ours.apiKey });
        const foreign = await asked(their);
        const absent = await asked({ '?agent': 'no-agent-here', '?user': 'nobody', '?prefix': 'no-agent-here/' });
        expect({ of: nameOf(operation), filter, ...seen(foreign) }).toEqual({
          of: nameOf(operation),
          filter,
          ...seen(absent),
        });
      }
      if (!operation.inQuery.includes('cursor')) continue;
      const page = await probe(operation, { tenant: theirs.tenant, '?limit': '1' }, { key: theirs.apiKey });
      const { nextCursor } = page.json as { nextCursor: string | null };
      if (nextCursor === null) continue;
      const withTheirs = await probe(operation, { tenant: ours.tenant, '?cursor': nextCursor }, { key: ours.apiKey });
      expect(withTheirs.text).not.toContain(SECRET);
      for (const id of [their['memory']!, their['turn']!, their['key']!, theirs.user, theirs.tenant])
        expect({ of: nameOf(operation), leaks: withTheirs.text.includes(id) }).toEqual({
          of: nameOf(operation),
          leaks: false,
        });
    }
  }, 60_000);

  test('is not let in by a method that a path does not have', async () => {
    for (const path of new Set(ofPlane('tenant', 'platform').map((operation) => operation.path))) {
      const declared = operations.filter((operation) => operation.path === path).map(({ method }) => method);
      for (const method of methods.filter((one) => !declared.includes(one))) {
        const undeclared: Operation = { method, path, plane: 'tenant', inPath: [], inQuery: [], body: null };
        const there = await probe(undeclared, { ...their, tenant: theirs.tenant }, { key: ours.apiKey });
        const nowhere = await probe(undeclared, { ...nobodys, tenant: nobodys['tenant']! }, { key: ours.apiKey });
        expect({ method, path, ...seen(there) }).toEqual({ method, path, ...seen(nowhere) });
        expect({ method, path, status: there.status }).toEqual({ method, path, status: 404 });
      }
    }
  }, 60_000);

  test('is nobody without a key, and with a key that is expired, revoked, invented or put together from two', async () => {
    const expiresAt = new Date(Date.now() + 1_500).toISOString();
    const make = async (json: object) =>
      (await ours.ask('POST', `${ours.path}/keys`, { json })).json as { keyId: string; apiKey: string };
    const [expired, revoked] = [await make({ name: 'short', expiresAt }), await make({ name: 'revoked' })];
    for (const { apiKey } of [expired, revoked])
      expect((await stack.ask('GET', `${ours.path}/agents`, { key: apiKey })).status).toBe(200);
    expect((await ours.ask('DELETE', `${ours.path}/keys/${revoked.keyId}`)).status).toBe(204);
    await sleep(Math.max(1_000, Date.parse(expiresAt) - Date.now()));

    const [, , ourId, ourSecret] = ours.apiKey.split('_');
    const [, , theirId] = theirs.apiKey.split('_');
    const keys: Record<string, string | undefined> = {
      none: undefined,
      empty: '',
      invented: `reef_${ours.tenant}_${ourId}_${'0'.repeat(ourSecret!.length)}`,
      'of another’s id with our secret': `reef_${theirs.tenant}_${theirId}_${ourSecret}`,
      'of ours in another’s name': `reef_${theirs.tenant}_${ourId}_${ourSecret}`,
      expired: expired.apiKey,
      revoked: revoked.apiKey,
    };
    for (const operation of ofPlane('account', 'tenant', 'agents', 'platform')) {
      for (const [kind, key] of Object.entries(keys)) {
        const { status } = await probe(
          operation,
          { ...their, tenant: theirs.tenant },
          key === undefined ? {} : { key },
        );
        expect({ of: nameOf(operation), kind, status }).toEqual({ of: nameOf(operation), kind, status: 401 });
      }
    }
  }, 60_000);

  test('has no way onto the operators’ plane, and operators have none into a tenant', async () => {
    for (const operation of ofPlane('platform')) {
      const ids = { ...their, tenant: theirs.tenant };
      const refused = await probe(operation, ids, { key: ours.apiKey });
      expect({ of: nameOf(operation), status: refused.status }).toEqual({ of: nameOf(operation), status: 403 });
      const absent = await probe(operation, { ...nobodys, tenant: nobodys['tenant']! }, { key: ours.apiKey });
      expect(seen(refused)).toEqual(seen(absent));
    }
    for (const operation of ofPlane('tenant', 'agents')) {
      const { status } = await probe(operation, { ...their, tenant: theirs.tenant }, { key: stack.demo.platformKey });
      expect({ of: nameOf(operation), refused: status === 403 || status === 404 }).toEqual({
        of: nameOf(operation),
        refused: true,
      });
    }
  }, 60_000);

  test('gives a key of a lesser role only what that role may do', async () => {
    const rank = { viewer: 0, member: 1, admin: 2 } as const;
    for (const role of ['viewer', 'member'] as const) {
      const made = await ours.ask('POST', `${ours.path}/keys`, { json: { name: role, role } });
      const { apiKey: key } = made.json as { apiKey: string };
      const above = ofPlane('tenant', 'agents').filter((operation) => rank[operation.role!] > rank[role]);
      expect(above.length).toBeGreaterThan(5);
      for (const operation of above) {
        const { status } = await probe(operation, { ...nobodys, tenant: ours.tenant }, { key });
        expect({ role, of: nameOf(operation), status }).toEqual({ role, of: nameOf(operation), status: 403 });
      }
    }
  }, 60_000);

  test('cannot name another tenant in a header, a query or a body', async () => {
    const headers = {
      'x-reef-tenant': theirs.tenant,
      'reef-context': theirs.tenant,
      baggage: `tenant=${theirs.tenant}`,
    };
    const mine = await counted(ours.ask('GET', `${ours.path}/agents`));
    expect(seen(await counted(ours.ask('GET', `${ours.path}/agents`, { headers })))).toEqual(seen(mine));
    for (const operation of ofPlane('tenant')) {
      const { method, path, more } = requestFor(operation, { ...nobodys, tenant: ours.tenant });
      const inQuery = await counted(
        ours.ask(method, `${path}${path.includes('?') ? '&' : '?'}tenant=${theirs.tenant}`, more),
      );
      expect({ of: nameOf(operation), status: inQuery.status }).toEqual({ of: nameOf(operation), status: 400 });
      if (operation.body !== 'json') continue;
      const named = { json: { ...(more.json as object), tenant: theirs.tenant } };
      const inBody = await counted(ours.ask(method, path, named));
      expect({ of: nameOf(operation), status: inBody.status }).toEqual({ of: nameOf(operation), status: 400 });
    }
  }, 60_000);

  test('shares neither sessions nor answers with another that uses the same names and keys', async () => {
    const headers = { 'x-openclaw-session-key': their['session']!, 'idempotency-key': 'the-same-for-both' };
    const say = (tenant: Tenant, content: string) =>
      counted(
        tenant.ask('POST', '/v1/chat/completions', {
          json: { model: 'openclaw', messages: [{ role: 'user', content }] },
          headers,
        }),
      );
    const said = await say(theirs, `What did I say about the ${SECRET}?`);
    const heard = await say(ours, `What did I say about the ${SECRET}?`);
    expect([said.status, heard.status]).toEqual([200, 200]);
    expect(said.text).toContain('diving for');
    expect(heard.text).toContain('not said that to me');
    expect((said.json as { id: string }).id).not.toBe((heard.json as { id: string }).id);
    eventsBefore = await eventsOf(stack, theirs.tenant); // This one conversation of theirs was meant.
  });

  test('reads, lists and writes nothing of another through the tools of its agents', async () => {
    const made = await ours.ask('POST', `${ours.path}/agents`, {
      json: { agent: 'burglar', model: 'simulator/sim-script' },
    });
    expect(made.status).toBe(201);
    const file = their['path']!;
    const ways = [
      file,
      `../${file}`,
      `../../${theirs.tenant}/${file}`,
      `../../../workspace/${theirs.tenant}/${file}`,
      `${theirs.tenant}/${file}`,
      `/${theirs.tenant}/${file}`,
      `${stack.home}/workspace/${theirs.tenant}/${file}`,
      `file://${stack.home}/workspace/${theirs.tenant}/${file}`,
      `skills/../../../${theirs.tenant}/${file}`,
      `..%2f..%2f${theirs.tenant}%2f${file.replace('/', '%2f')}`,
      `..\\..\\${theirs.tenant}\\${file.replace('/', '\\')}`,
      `．．/．．/${theirs.tenant}/${file}`,
      `/proc/self/root${stack.home}/workspace/${theirs.tenant}/${file}`,
      `/proc/self/cwd/workspace/${theirs.tenant}/${file}`,
    ];
    const steps = ways.flatMap((path) => [
      { toolCall: { name: 'read_file', arguments: { path } } },
      { toolCall: { name: 'list_files', arguments: { path: path.slice(0, path.lastIndexOf('/')) } } },
      ...(path === file
        ? []
        : [{ toolCall: { name: 'write_file', arguments: { path, content: 'the burglar was here' } } }]),
    ]);
    const toolAnswers: string[] = [];
    for (let at = 0; at < steps.length; at += 8) {
      const script = [{ toolCalls: steps.slice(at, at + 8).map(({ toolCall }) => toolCall) }, { text: 'done' }];
      const turn = await counted(
        ours.ask('POST', '/v1/chat/completions', {
          json: { model: 'openclaw/burglar', messages: [{ role: 'user', content: JSON.stringify(script) }] },
        }),
      );
      expect({ status: turn.status, text: turn.text.includes('done') }).toEqual({ status: 200, text: true });
      toolAnswers.push(turn.text);
      probes += script[0]!.toolCalls!.length;
    }
    // What the tools told the model would be in the next request of the model, so the echoing one is asked to read too.
    const read = async (path: string) => {
      const messages = [{ role: 'user', content: `Read file ${path}` }];
      return (await counted(ours.ask('POST', '/v1/chat/completions', { json: { model: 'openclaw', messages } }))).text;
    };
    await ours.ask('PUT', `${ours.path}/files/main/own.md`, { body: 'an oyster of our own' });
    expect(await read('own.md')).toContain('an oyster of our own');
    for (const path of ways) toolAnswers.push(await read(path));
    expect(toolAnswers.filter((text) => text.includes(SECRET))).toEqual([]);
    const kept = await theirs.ask('GET', `${theirs.path}/files/${file}`);
    expect({ status: kept.status, text: kept.text }).toEqual({
      status: 200,
      text: `The ${SECRET} lies at nine fathoms.`,
    });
  }, 60_000);

  test('has, after all of it, changed nothing of the other', async () => {
    expect(await eventsOf(stack, theirs.tenant)).toEqual(eventsBefore);
    expect((await theirs.ask('GET', `${theirs.path}/agents/${their['agent']}`)).json).toMatchObject({
      archived: false,
      name: 'Diver',
    });
  });

  const ofPlane = (...planes: Operation['plane'][]) => operations.filter(({ plane }) => planes.includes(plane));

  function probe(operation: Operation, values: Record<string, string>, credential: Pick<Ask, 'key'>): Promise<Answer> {
    const { method, path, more } = requestFor(operation, values);
    return counted(stack.ask(method, path, { ...more, ...credential }));
  }

  function counted(answer: Promise<Answer>): Promise<Answer> {
    probes += 1;
    return answer;
  }
});

/** One of everything that has a name. */
async function furnish(tenant: Tenant): Promise<Record<string, string>> {
  const made = async (answer: Promise<Answer>, status: number) => {
    const { status: got, json, headers } = await answer;
    expect(got).toBe(status);
    return { json: json as Record<string, string>, headers };
  };
  const path = 'pearl-diver/secret.md';
  await made(tenant.ask('POST', `${tenant.path}/agents`, { json: { agent: 'pearl-diver', name: 'Diver' } }), 201);
  await made(tenant.ask('PUT', `${tenant.path}/files/${path}`, { body: `The ${SECRET} lies at nine fathoms.` }), 200);
  const memory = await made(
    tenant.ask('POST', `${tenant.path}/memories`, {
      json: { agent: 'pearl-diver', user: 'ada', text: `Ada likes ${SECRET}` },
    }),
    201,
  );
  const chat = await made(
    tenant.ask('POST', '/v1/chat/completions', {
      json: { model: 'openclaw', messages: [{ role: 'user', content: `I go diving for ${SECRET}` }] },
      headers: { 'x-openclaw-session-key': 'the-dive' },
    }),
    200,
  );
  const key = await made(tenant.ask('POST', `${tenant.path}/keys`, { json: { name: SECRET } }), 201);
  const webhook = await made(
    tenant.ask('POST', `${tenant.path}/webhooks`, { json: { url: `https://example.com/${SECRET}` } }),
    201,
  );
  return {
    agent: 'pearl-diver',
    session: 'the-dive',
    turn: chat.headers.get('x-reef-turn')!,
    path,
    memory: memory.json['memoryId']!,
    key: key.json['keyId']!,
    webhook: webhook.json['webhookId']!,
    id: 'openclaw/pearl-diver',
    '?agent': 'pearl-diver',
    '?user': 'ada',
    '?prefix': 'pearl-diver/',
  };
}

/** What a stranger can learn from an answer: everything but what names the request itself. */
function seen({ status, text, headers }: Answer) {
  return {
    status,
    type: headers.get('content-type'),
    body: text
      .replace(/"traceId":"[0-9a-f]+"/, '"traceId":"…"')
      .replaceAll(/"id":"[^"]*","object":"model"/g, '"object":"model"'),
  };
}
