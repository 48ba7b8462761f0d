import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { nameOf, type Operation, operationsOf, requestFor } from './api.js';
import { databases, eventsOf, rowsOf } from './books.js';
import type { Answer, Ask } from './http.js';
import { START_LIMIT_MS, type Stack, startStack, type Tenant } from './stack.js';

const TRACES = [
  /\bat \S+ \(/,
  /node:internal/,
  /node_modules/,
  /\.[jt]s:\d+/,
  /\/(tmp|home|root|usr|work)\//,
  /ECONN/,
  /select |insert /i,
];

// Nothing that a client sends wrongly may change anything, or be answered in another shape than the documented one.
describe('what does not fit', () => {
  let stack: Stack;
  let tenant: Tenant;
  let operations: Operation[];
  let before: Record<string, number>;
  let requests = 0;

  beforeAll(async () => {
    stack = await startStack();
    operations = await operationsOf(stack);
    tenant = await stack.signUp();
    await tenant.ask('PUT', `${tenant.path}/files/main/kept.md`, { body: 'kept' });
    before = await everything();
  }, START_LIMIT_MS);
  afterAll(async () => {
    process.stdout.write(`bad input: ${requests} requests\n`);
    await stack?.[Symbol.asyncDispose]();
  }, START_LIMIT_MS);

  test.each([
    ['half of it', '{"model": "openclaw", "messages": ['],
    ['nothing', ''],
    ['no JSON', 'model=openclaw'],
    ['a lone surrogate’s bytes', Buffer.from([0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x3a, 0x31, 0x7d])],
    ['a NUL', '{"a":"\u0000"}'],
    ['a number', '7'],
    ['null', 'null'],
    ['a list', '[]'],
    ['a million brackets', '['.repeat(40_000)],
    ['a prototype', '{"__proto__": {"admin": true}, "constructor": {"prototype": {"admin": true}}}'],
  ])('is refused as a body: %s', async (_name, body) => {
    for (const operation of withJson()) {
      const { method, path } = requestFor(operation, placesIn(operation));
      const answer = await send(operation, method, path, { body, headers: { 'content-type': 'application/json' } });
      // Of a suspension the body may be left out; whom it would suspend is not there.
      refusedWith(answer, operation, body === '' && operation.path.endsWith('/suspend') ? [404] : [400]);
    }
  });

  test('is refused as a media type', async () => {
    for (const operation of withJson()) {
      const { method, path, more } = requestFor(operation, placesIn(operation));
      const body = JSON.stringify(more.json);
      for (const type of ['text/plain', 'application/xml', 'multipart/form-data; boundary=x'])
        refusedWith(await send(operation, method, path, { body, headers: { 'content-type': type } }), operation, [415]);
    }
  });

  test('is refused as a field nobody knows, at the top and as a query', async () => {
    for (const operation of withJson()) {
      const { method, path, more } = requestFor(operation, placesIn(operation));
      const json = { ...(more.json as object), colour: 'blue' };
      refusedWith(await send(operation, method, path, { json }), operation, [400]);
    }
    for (const operation of ofTenant()) {
      const { method, path, more } = requestFor(operation, placesIn(operation));
      const asked = `${path}${path.includes('?') ? '&' : '?'}colour=blue`;
      refusedWith(await send(operation, method, asked, more), operation, [400]);
    }
  });

  test('is refused as a value of another type, field by field, and the field is named', async () => {
    for (const operation of withJson()) {
      const { method, path, more } = requestFor(operation, placesIn(operation));
      const whole = more.json as Record<string, unknown>;
      for (const [field, value] of Object.entries(whole)) {
        for (const other of [7, true, null, {}, [[]], ''].filter(
          (one) => typeof one !== typeof value || one === null,
        )) {
          const answer = await send(operation, method, path, { json: { ...whole, [field]: other } });
          if (answer.status < 300 && other === null) continue; // A field that may be null.
          refusedWith(answer, operation, [400]);
          expect({ of: nameOf(operation), field, named: answer.text.includes(field) }).toEqual({
            of: nameOf(operation),
            field,
            named: true,
          });
        }
      }
    }
  });

  test.each([
    ['no such agent', { model: 'openclaw/nobody' }, 404],
    ['a name no agent can have', { model: 'openclaw/../main' }, 404],
    ['a provider’s model', { model: 'gpt-4o' }, 404],
    ['no message', { messages: [] }, 400],
    ['a role nobody has', { messages: [{ role: 'wizard', content: 'Hello' }] }, 400],
    ['a message without content', { messages: [{ role: 'user' }] }, 400],
    ['several answers', { n: 2 }, 400],
    ['a negative limit', { max_tokens: -1 }, 400],
    ['a limit that is no number', { max_tokens: 'many' }, 400],
    ['a user that is too long', { user: 'u'.repeat(300) }, 400],
  ])('is refused as a chat: %s', async (_name, change, status) => {
    const json = { model: 'openclaw', messages: [{ role: 'user', content: 'Hello' }], ...change };
    const chat = operations.find((operation) => nameOf(operation) === 'POST /v1/chat/completions')!;
    for (const stream of [false, true])
      refusedWith(await send(chat, 'POST', '/v1/chat/completions', { json: { ...json, stream } }), chat, [status]);
  });

  test('is refused as an agent: a model nobody offers, a name taken, a name that is a path', async () => {
    const create = operations.find((operation) => nameOf(operation) === 'POST /api/tenants/{tenant}/agents')!;
    const agents = `${tenant.path}/agents`;
    refusedWith(await send(create, 'POST', agents, { json: { agent: 'x', model: 'nobody/nothing' } }), create, [400]);
    refusedWith(await send(create, 'POST', agents, { json: { agent: 'main' } }), create, [409]);
    for (const agent of ['..', '.', 'a/b', 'A', '-a', 'a-', 'a b', 'ä', 'a'.repeat(41), '%2e%2e', 'a\u0000'])
      refusedWith(await send(create, 'POST', agents, { json: { agent } }), create, [400]);
  });

  test('is refused where it is too large, and says so to a client that is still sending', async () => {
    const sizes: Record<string, number> = {
      'POST /v1/chat/completions': 2 * 1024 * 1024,
      'POST /v1/responses': 2 * 1024 * 1024,
      'PUT /api/tenants/{tenant}/files/{path}': 10 * 1024 * 1024,
      'POST /api/tenants/{tenant}/workspace/import': 20 * 1024 * 1024,
      'POST /api/tenants/{tenant}/agents': 64 * 1024,
      'POST /api/tenants/{tenant}/memories': 64 * 1024,
      'POST /api/signup': 64 * 1024,
    };
    for (const [name, bytes] of Object.entries(sizes)) {
      const operation = operations.find((one) => nameOf(one) === name)!;
      const { method, path } = requestFor(operation, placesIn(operation));
      const type = operation.body === 'json' ? 'application/json' : 'application/octet-stream';
      const answer = await send(operation, method, path, {
        body: 'x'.repeat(bytes + 1),
        headers: { 'content-type': type },
      });
      refusedWith(answer, operation, [413]);
    }
  });

  test('is refused as a path that leaves the workspace, however it is spelt', async () => {
    const ways = [
      '../kept.md',
      'main/../../kept.md',
      'main/../other/kept.md',
      'main/./kept.md',
      'main//kept.md',
      '/main/kept.md',
      '%2e%2e/kept.md',
      'main/%2e%2e/%2e%2e/kept.md',
      'main%2f..%2f..%2fkept.md',
      'main%2F%2E%2E%2Fother',
      '%252e%252e%252fkept.md',
      'main/..%5c..%5ckept.md',
      'main\\..\\..\\kept.md',
      'main/%00',
      'main/kept.md%00.png',
      'main/%0d%0aset-cookie:a=b',
      'main/%c0%ae%c0%ae/kept.md',
      'main/%ed%a0%80',
      'main/%',
      'main/%zz',
      '%ef%bc%8e%ef%bc%8e/kept.md',
      `main/${'a'.repeat(256)}`,
      `main/${'a/'.repeat(2_000)}a`,
      'main/',
      'main',
      '.',
      '..',
      'proc:/self/environ',
      'file:///etc/passwd',
      '%2fetc%2fpasswd',
    ];
    for (const operation of ofTenant().filter(({ inPath }) => inPath.includes('path'))) {
      for (const way of ways) {
        const raw = await rawly(
          operation.method,
          `${tenant.path}/files/${way}`,
          operation.body === 'bytes' ? 'out' : '',
        );
        expect({ of: nameOf(operation), way, refused: raw.status >= 400 && raw.status < 500 }).toEqual({
          of: nameOf(operation),
          way,
          refused: true,
        });
        expect(raw.text).not.toContain('root:');
        nothingInside(raw.text);
      }
    }
    for (const prefix of ['../', '/', 'main/../..', '..%2f'])
      expect([200, 400]).toContain(
        (await tenant.ask('GET', `${tenant.path}/files?prefix=${encodeURIComponent(prefix)}`)).status,
      );
  });

  test('is refused as an id, a page or a moment', async () => {
    const places = {
      ...placesIn(operations[0]!),
      agent: '..',
      session: 'with space',
      turn: 'turn',
      path: '%00',
      memory: '1',
      key: '../key',
      id: 'openclaw/..',
    };
    for (const operation of ofTenant().filter(({ inPath }) => inPath.length > 1)) {
      const { method, path, more } = requestFor(operation, places);
      refusedWith(await send(operation, method, path, more), operation, [
        operation.inPath.includes('path') ? 400 : 404,
      ]);
    }
    for (const operation of ofTenant().filter(({ inQuery }) => inQuery.includes('limit'))) {
      for (const query of [
        'limit=0',
        'limit=201',
        'limit=-1',
        'limit=many',
        'limit=1&limit=2',
        'cursor=nonsense',
        `cursor=${'c'.repeat(600)}`,
      ]) {
        const { method, path } = requestFor(operation, placesIn(operation));
        const answer = await send(operation, method, `${path}?${query}`, {});
        const status = operation.inPath.length > 1 && answer.status === 404 ? 404 : 400;
        refusedWith(answer, operation, [status]);
      }
    }
    const asOf = operations.find((operation) => operation.path.endsWith('/as-of'))!;
    for (const at of ['', 'yesterday', '2026-13-01T00:00:00Z', '2026-11-20', '2026-11-20T00:00:00+99:00'])
      refusedWith(await send(asOf, 'GET', `${tenant.path}/as-of?at=${encodeURIComponent(at)}`, {}), asOf, [400]);
  });

  test('is refused as money: a negative cap, a thirteenth decimal, half a token', async () => {
    const limits = operations.find((operation) => operation.path.endsWith('/limits'))!;
    const limit = { scope: 'tenant', window: 'month', unit: 'usd', cap: '5', hard: true };
    const wrong = [
      { cap: '-1' },
      { cap: '1.1234567890123' },
      { cap: 5 },
      { cap: '1e3' },
      { cap: '0x10' },
      { cap: '1', unit: 'gold' },
    ];
    for (const change of [...wrong, { unit: 'tokens', cap: '0.5' }, { scope: 'agent' }, { window: 'decade' }])
      refusedWith(
        await send(limits, 'PUT', `${tenant.path}/limits`, { json: { limits: [{ ...limit, ...change }] } }),
        limits,
        [400],
      );
    refusedWith(
      await send(limits, 'PUT', `${tenant.path}/limits`, { json: { limits: [limit, limit] } }),
      limits,
      [400],
    );
  });

  test('is refused as an Idempotency-Key', async () => {
    const create = operations.find((operation) => nameOf(operation) === 'POST /api/tenants/{tenant}/agents')!;
    for (const key of [' ', 'with space', 'k'.repeat(201)]) {
      const answer = await send(create, 'POST', `${tenant.path}/agents`, {
        json: { agent: 'keyed' },
        headers: { 'idempotency-key': key },
      });
      refusedWith(answer, create, [400]);
    }
  });

  test('is refused as an archive: not one, an empty one, a bomb', async () => {
    const load = operations.find((operation) => operation.path.endsWith('/import'))!;
    for (const body of [
      'not an archive',
      'PK\x03\x04broken',
      Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3]),
    ])
      refusedWith(await send(load, 'POST', `${tenant.path}/workspace/import`, { body }), load, [400]);
    refusedWith(await send(load, 'POST', `${tenant.path}/workspace/import`, { body: '' }), load, [400]);
  });

  test('is answered even where it is not HTTP', async () => {
    for (const lines of [
      'nonsense\r\n\r\n',
      'GET / HTTP/9.9\r\n\r\n',
      `GET /api/me HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`,
    ]) {
      const { status, text } = await overSocket(lines);
      expect([400, 431]).toContain(status);
      nothingInside(text);
    }
  });

  test('has changed nothing', async () => {
    expect(await everything()).toEqual(before);
    expect((await tenant.ask('GET', `${tenant.path}/files/main/kept.md`)).text).toBe('kept');
    expect((await stack.status()).filter(({ ready }) => !ready)).toEqual([]);
  });

  /** Names that are there, or could be; no operator suspends anybody here. */
  const placesIn = ({ plane }: Operation): Record<string, string> => ({
    tenant: plane === 'platform' ? 'no-such-tenant' : tenant.tenant,
    agent: 'main',
    session: 'agent:main:main',
    turn: '0190b3f0-0000-7000-8000-000000000000',
    path: 'main/kept.md',
    memory: '0190b3f0-0000-7000-8000-000000000000',
    key: 'a1b2c3d4e5f6a7b8',
    webhook: '0190b3f0-0000-7000-8000-000000000000',
    id: 'openclaw/main',
  });
  const ofTenant = () => operations.filter(({ plane }) => plane === 'tenant');
  const withJson = () => operations.filter(({ body }) => body === 'json');

  async function send(operation: Operation, method: string, path: string, more: Ask): Promise<Answer> {
    requests += 1;
    const key = operation.plane === 'platform' ? stack.demo.platformKey : tenant.apiKey;
    return stack.ask(method, path, { ...more, ...(operation.plane !== 'public' && { key }) });
  }

  function refusedWith(answer: Answer, operation: Operation, statuses: number[]): void {
    const of = nameOf(operation);
    expect({
      of,
      status: statuses.includes(answer.status) ? statuses[0] : answer.status,
      text: answer.status < 300 ? answer.text : '',
    }).toEqual({
      of,
      status: statuses[0],
      text: '',
    });
    if (operation.path.startsWith('/v1/')) {
      expect(answer.json).toEqual({
        error: expect.objectContaining({
          message: expect.any(String),
          type: expect.any(String),
          code: expect.any(String),
        }),
      });
      expect((answer.json as { error: object }).error).toHaveProperty('param');
    } else {
      expect(answer.headers.get('content-type')).toContain('application/problem+json');
      expect(answer.json).toMatchObject({
        type: expect.any(String),
        title: expect.any(String),
        status: answer.status,
        detail: expect.any(String),
        code: expect.any(String),
        traceId: expect.stringMatching(/^[0-9a-f]{32}$/),
      });
    }
    expect(answer.headers.get('x-request-id')).toBeTruthy();
    nothingInside(answer.text);
  }

  function nothingInside(text: string): void {
    expect(TRACES.filter((trace) => trace.test(text)).map((trace) => `${trace} in ${text.slice(0, 300)}`)).toEqual([]);
  }

  /** All events of the tenant, and of everybody together where a refused sign-up would show. */
  async function everything(): Promise<Record<string, number>> {
    const own = await eventsOf(stack, tenant.tenant);
    const tenants = await rowsOf<{ n: number }>(
      stack,
      'identity',
      `select count(*)::int as n from es.event where tenant_id = 'new-tenant'`,
    );
    const prices = await rowsOf<{ n: number }>(
      stack,
      'budgets',
      `select count(*)::int as n from es.event where tenant_id = 'platform'`,
    );
    expect(databases).toHaveLength(6);
    return { ...own, tenants: tenants[0]!.n, prices: prices[0]!.n };
  }

  /** As a client sends it that does not tidy paths up, as fetch does. */
  async function rawly(method: string, path: string, body: string): Promise<{ status: number; text: string }> {
    requests += 1;
    const head = [
      `${method} ${path} HTTP/1.1`,
      'host: reef',
      `authorization: Bearer ${tenant.apiKey}`,
      'connection: close',
      `content-length: ${body.length}`,
    ];
    return overSocket(`${head.join('\r\n')}\r\n\r\n${body}`);
  }

  function overSocket(bytes: string): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const parts: Buffer[] = [];
      const socket = connect(Number(new URL(stack.baseUrl).port), '127.0.0.1', () => socket.write(bytes));
      socket.setTimeout(10_000, () => socket.destroy(new Error('no answer within 10 s')));
      socket.on('data', (part) => parts.push(part));
      socket.once('error', reject);
      socket.once('close', () => {
        const text = Buffer.concat(parts).toString('utf8');
        resolve({ status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0), text });
      });
    });
  }
});
