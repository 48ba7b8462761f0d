import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { budgets, dispatch, identity, memory, PIECE_BYTES_MAX, telemetry, workspace } from '@reef/contracts';
import { eventually } from '@reef/testing';
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { ADA, runningEdge, type TestEdge } from './running-edge.js';

// Within a describe, so that its end comes before the end of this file's NATS.
describe('the edge', () => {
  let edge: TestEdge;
  beforeAll(async () => {
    edge = await runningEdge();
  });
  afterAll(async () => {
    await edge[Symbol.asyncDispose]();
  });

  const ACME = '/api/tenants/acme';
  const NOW = '2026-11-22T12:00:00.000Z';
  const agent = {
    agent: 'main',
    name: 'Main',
    model: 'simulated/small',
    instructions: '',
    createdAt: NOW,
    archived: false,
  };

  describe('a tenant', () => {
    test('of somebody else is the same 404 as one that does not exist, whatever is sent to it', async () => {
      const ask = async (method: string, tenant: string, rest: string, body?: unknown) => {
        const response = await edge.call(method, `/api/tenants/${tenant}/${rest}`, body === undefined ? {} : { body });
        const { traceId: _traceId, ...problem } = (await response.json()) as Record<string, unknown>;
        return { status: response.status, problem };
      };
      const attempts: [string, string, unknown?][] = [
        ['GET', 'agents'],
        ['POST', 'agents', { agent: 'x' }],
        ['POST', 'agents', { nonsense: true }],
        ['GET', 'files/main/SOUL.md'],
        ['PUT', 'limits', { limits: [] }],
        ['GET', 'budget'],
        ['DELETE', `memories/${ADA}`],
      ];
      for (const [method, rest, body] of attempts) {
        const foreign = await ask(method, 'bolt', rest, body);
        expect(foreign).toEqual(await ask(method, 'nosuch', rest, body));
        expect(foreign).toMatchObject({ status: 404, problem: { code: 'not_found', title: 'Not Found', status: 404 } });
      }
      expect(edge.services.heard.filter(({ heard }) => heard.subjectTenant === 'bolt')).toEqual([]);
    });

    test("is closed to the platform's own key", async () => {
      expect((await edge.call('GET', `${ACME}/agents`, { key: 'operator-key' })).status).toBe(404);
    });

    test('lets a viewer look and not touch', async () => {
      edge.services.answer(dispatch.queries.agents, () => ({ ok: true, value: { items: [agent], nextCursor: null } }));
      expect((await edge.call('GET', `${ACME}/agents`, { key: 'eve-key' })).status).toBe(200);
      expect((await edge.call('POST', `${ACME}/agents`, { key: 'eve-key', body: { agent: 'new' } })).status).toBe(403);
    });

    test('refuses fields it does not know, and says which', async () => {
      const response = await edge.call('POST', `${ACME}/agents`, {
        body: { agent: 'new', tenant: 'bolt', colour: 'red' },
      });
      expect(response.headers.get('content-type')).toContain('application/problem+json');
      expect(await response.json()).toMatchObject({
        status: 400,
        code: 'invalid_input',
        errors: [{ field: 'tenant' }, { field: 'colour' }],
      });
      expect((await edge.call('GET', `${ACME}/agents?tenant=bolt`)).status).toBe(400);
      expect((await edge.call('DELETE', `${ACME}/agents/clerk`, { body: { tenant: 'bolt' } })).status).toBe(400);
      expect((await edge.call('GET', `${ACME}/agents?limit=201`)).status).toBe(400);
    });

    test('has agents that are made, read, changed and archived', async () => {
      edge.services.answer(dispatch.commands.createAgent, ({ input }) => ({
        ok: true,
        value: { ...agent, agent: input.agent },
      }));
      edge.services.answer(dispatch.commands.updateAgent, ({ input }) => ({
        ok: true,
        value: { ...agent, name: input.name ?? '' },
      }));
      edge.services.answer(dispatch.commands.archiveAgent, () => ({ ok: true, value: {} }));
      const made = await edge.call('POST', `${ACME}/agents`, { body: { agent: 'clerk' } });
      expect(made.status).toBe(201);
      expect(await made.json()).toMatchObject({ agent: 'clerk' });
      const renamed = await edge.call('PATCH', `${ACME}/agents/clerk`, { body: { name: 'Clerk' } });
      expect(await renamed.json()).toMatchObject({ name: 'Clerk' });
      expect((await edge.call('DELETE', `${ACME}/agents/clerk`)).status).toBe(204);
      expect((await edge.call('DELETE', `${ACME}/agents/NOT-A-NAME`)).status).toBe(404);
    });

    test('makes one command of a POST that is repeated under a key, and another one for another person', async () => {
      const headers = { 'idempotency-key': 'make-clerk' };
      for (const key of ['ada-key', 'ada-key', 'amy-key'])
        await edge.call('POST', `${ACME}/agents`, { key, body: { agent: 'clerk' }, headers });
      const [first, again, other] = edge.services.asked(dispatch.commands.createAgent).slice(-3);
      expect(again!.commandId).toBe(first!.commandId);
      expect(other!.commandId).not.toBe(first!.commandId);
      edge.services.answer(dispatch.commands.createAgent, () => ({
        ok: false,
        code: 'command_id_reused',
        message: 'other input',
      }));
      expect((await edge.call('POST', `${ACME}/agents`, { body: { agent: 'x' }, headers })).status).toBe(422);
      const long = { 'idempotency-key': 'x'.repeat(201) };
      expect((await edge.call('POST', `${ACME}/agents`, { body: { agent: 'x' }, headers: long })).status).toBe(400);
    });
  });

  describe('money', () => {
    test('goes in and out as decimal text, and is whole pico-USD inside', async () => {
      edge.services.answer(budgets.commands.setLimits, () => ({ ok: true, value: {} }));
      edge.services.answer(budgets.queries.balance, () => ({
        ok: true,
        value: {
          plan: { plan: 'starter', name: 'Starter' },
          timeZone: 'UTC',
          limits: [
            {
              setBy: 'plan',
              scope: 'tenant',
              scopeId: null,
              window: 'month',
              unit: 'usd',
              cap: 1_500_000_000_000n,
              posted: 1n,
              held: 0n,
              left: 1_499_999_999_999n,
              windowEndsAt: NOW,
              hard: true,
            },
          ],
          topUps: [],
          rates: [],
          pressure: { utilisation: 0.5, step: 'free' },
        },
      }));
      const limits = [
        { scope: 'tenant', window: 'month', unit: 'usd', cap: '1.5', hard: true },
        { scope: 'agent', scopeId: '*', window: 'day', unit: 'tokens', cap: '100000', hard: false },
      ];
      expect((await edge.call('PUT', `${ACME}/limits`, { body: { limits } })).status).toBe(200);
      expect(
        edge.services
          .asked(budgets.commands.setLimits)
          .at(-1)!
          .input.limits.map(({ cap }) => cap),
      ).toEqual([1_500_000_000_000n, 100_000n]);
      const balance = await (await edge.call('GET', `${ACME}/budget`)).json();
      expect(balance).toMatchObject({ limits: [{ cap: '1.5', posted: '0.000000000001', left: '1.499999999999' }] });
      for (const cap of [1.5, '1.2345678901234', '-1', '1e3'])
        expect((await edge.call('PUT', `${ACME}/limits`, { body: { limits: [{ ...limits[0], cap }] } })).status).toBe(
          400,
        );
      expect(
        (await edge.call('PUT', `${ACME}/limits`, { body: { limits: [{ ...limits[1], cap: '1.5' }] } })).status,
      ).toBe(400);
    });

    test('is reported under the name of what it was grouped by', async () => {
      const tokens = { input: 1, cacheRead: 0, cacheWrite: 0, output: 2, reasoning: 0 };
      edge.services.answer(telemetry.queries.costs, () => ({
        ok: true,
        value: { items: [{ key: 'ada', costPico: 250_000n, calls: 2, turns: 1, tokens }], totalPico: 250_000n },
      }));
      const costs = await (await edge.call('GET', `${ACME}/costs?groupBy=user`)).json();
      expect(costs).toEqual({
        items: [{ user: 'ada', costUsd: '0.00000025', calls: 2, turns: 1, tokens }],
        totalUsd: '0.00000025',
      });
    });
  });

  describe('a person', () => {
    test('signs up even while a service that prepares the tenant is away', async () => {
      edge.services.answer(identity.commands.signUp, ({ input, claims }) => {
        expect(claims.principal.kind).toBe('anonymous');
        return {
          ok: true,
          value: { tenant: input.tenant, userId: ADA, keyId: 'k'.repeat(16), apiKey: 'reef_new_k_s' },
        };
      });
      edge.services.answer(dispatch.commands.openTenant, () => ({ ok: true, value: { agent: 'main' } }));
      edge.services.answer(budgets.commands.openTenant, () => ({ ok: true, value: {} }));
      edge.services.answer(workspace.commands.openTenant, () => ({
        ok: false,
        code: 'internal',
        message: 'a bad day',
      }));
      const body = { email: 'ada@example.com', password: 'correct horse', tenant: 'newco' };
      const response = await edge.call('POST', '/api/signup', { key: null, body });
      expect(response.status).toBe(201);
      expect(await response.json()).toEqual({ tenant: 'newco', user: ADA, apiKey: 'reef_new_k_s', agent: 'main' });
      expect(edge.services.asked(dispatch.commands.openTenant).at(-1)).toMatchObject({
        claims: { tenant: 'newco', role: 'owner', principal: { kind: 'user', id: ADA } },
      });
    });

    test('logs in to a cookie that scripts cannot read and other sites cannot use', async () => {
      edge.services.answer(identity.commands.logIn, () => ({
        ok: true,
        value: {
          userId: ADA,
          sessionToken: 'ada-session',
          expiresAt: '2027-01-01T00:00:00.000Z',
          tenants: [{ tenant: 'acme', role: 'owner' }],
        },
      }));
      edge.services.answer(identity.queries.whoAmI, () => ({
        ok: true,
        value: { userId: ADA, email: 'ada@example.com', name: null, tenants: [{ tenant: 'acme', role: 'owner' }] },
      }));
      edge.services.answer(identity.commands.logOut, () => ({ ok: true, value: {} }));
      const body = { email: 'ada@example.com', password: 'correct horse' };
      const plain = await edge.call('POST', '/api/login', { key: null, body });
      expect(await plain.json()).toMatchObject({ token: 'ada-session' });
      expect(plain.headers.get('set-cookie')).toMatch(
        /^reef_session=ada-session; Path=\/; HttpOnly; SameSite=Lax; Expires=[^;]+$/,
      );
      const secure = await edge.call('POST', '/api/login', {
        key: null,
        body,
        headers: { 'x-forwarded-proto': 'https' },
      });
      expect(secure.headers.get('set-cookie')).toMatch(/^__Host-reef_session=.*; Secure$/);

      const cookie = { cookie: 'theme=dark; reef_session=ada-session' };
      const me = await edge.call('GET', '/api/me', { key: null, headers: cookie });
      expect(await me.json()).toMatchObject({ user: { email: 'ada@example.com' }, tenants: [{ tenant: 'acme' }] });
      const elsewhere: Record<string, string>[] = [
        { 'sec-fetch-site': 'cross-site' },
        { origin: 'https://evil.example' },
      ];
      for (const foreign of elsewhere)
        expect((await edge.call('POST', '/api/logout', { key: null, headers: { ...cookie, ...foreign } })).status).toBe(
          403,
        );
      const left = await edge.call('POST', '/api/logout', {
        key: null,
        headers: { ...cookie, 'sec-fetch-site': 'same-origin' },
      });
      expect([left.status, left.headers.get('set-cookie')]).toEqual([204, expect.stringContaining('reef_session=;')]);
    });

    test('whose key is revoked is a stranger at once, though the answer was remembered', async () => {
      const asked = () =>
        edge.services.asked(identity.queries.authenticate).filter(({ input }) => input.credential === 'bob-key').length;
      edge.services.answer(memory.queries.memories, () => ({ ok: true, value: { items: [], nextCursor: null } }));
      const look = async () => (await edge.call('GET', '/api/tenants/bolt/memories', { key: 'bob-key' })).status;
      expect([await look(), await look(), await look()]).toEqual([200, 200, 200]);
      expect(asked()).toBe(1);
      edge.services.credentials({});
      expect(await look()).toBe(200);
      edge.services.publishEvent(identity.events.ApiKeyRevoked.subject('bolt'), {
        tenant: 'bolt',
        data: { keyId: 'bobkey0000000000' },
      });
      await eventually(look, (status) => status === 401);
    });
  });

  describe('files', () => {
    const stored = new Map<string, Buffer>();
    beforeAll(() => {
      const uploads = new Map<string, Buffer>();
      const view = (path: string, content: Buffer) => ({
        path,
        bytes: content.length,
        sha256: createHash('sha256').update(content).digest('hex'),
        modifiedAt: NOW,
      });
      edge.services.credentials({
        'ada-key': { kind: 'key', id: 'adakey0000000000', tenants: [{ tenant: 'acme', role: 'admin' }] },
      });
      edge.services.answer(workspace.commands.uploadPiece, ({ input }) => {
        const known = uploads.get(input.uploadId) ?? Buffer.alloc(0);
        if (known.length !== input.offset) return { ok: false, code: 'piece_out_of_order', message: 'no' };
        uploads.set(input.uploadId, Buffer.concat([known, Buffer.from(input.pieceBase64, 'base64')]));
        return { ok: true, value: { bytes: input.offset } };
      });
      edge.services.answer(workspace.commands.writeFile, ({ input: { path, content } }) => {
        const bytes = 'base64' in content ? Buffer.from(content.base64, 'base64') : uploads.get(content.uploadId)!;
        stored.set(path, bytes);
        return { ok: true, value: view(path, bytes) };
      });
      edge.services.answer(workspace.commands.importWorkspace, ({ input }) => ({
        ok: true,
        value: { files: 1, bytes: uploads.get(input.uploadId)!.length },
      }));
      edge.services.answer(workspace.queries.readFile, ({ input }) => {
        const content = stored.get(input.path);
        if (!content) return { ok: false, code: 'file_not_found', message: 'no such file' };
        const piece = content.subarray(input.offset, input.offset + input.bytesMax).toString('base64');
        return { ok: true, value: { ...view(input.path, content), offset: input.offset, pieceBase64: piece } };
      });
    });

    test('travel as they are, small ones in one message and large ones in pieces', async () => {
      for (const bytes of [0, 1, PIECE_BYTES_MAX, PIECE_BYTES_MAX + 1, 3 * PIECE_BYTES_MAX + 7]) {
        const content = Buffer.alloc(bytes, 'reef');
        const put = await edge.call('PUT', `${ACME}/files/main/notes.md`, { body: content });
        expect(put.status).toBe(200);
        expect(await put.json()).toMatchObject({ bytes });
        const got = await edge.call('GET', `${ACME}/files/main/notes.md`);
        expect(Buffer.from(await got.arrayBuffer()).equals(content)).toBe(true);
        expect(got.headers.get('content-type')).toBe('text/markdown; charset=utf-8');
        expect(got.headers.get('x-content-type-options')).toBe('nosniff');
        expect(got.headers.get('content-disposition')).toContain('attachment');
      }
    });

    test('have their path decoded once, and whatever it then is goes to the workspace to judge', async () => {
      await edge.call('PUT', `${ACME}/files/main/a%20b%252Fc.txt`, { body: Buffer.from('x') });
      expect(stored.has('main/a b%2Fc.txt')).toBe(true);
      await edge.call('GET', `${ACME}/files/main/..%2F..%2Fbolt/SOUL.md`);
      expect(edge.services.asked(workspace.queries.readFile).at(-1)!.input.path).toBe('main/../../bolt/SOUL.md');
      expect((await edge.call('GET', `${ACME}/files/%ff`)).status).toBe(400);
      expect((await edge.call('GET', `${ACME}/files/main/none`)).status).toBe(404);
    });

    test('of 10 MB are taken, and of a byte more refused', async () => {
      const most = 10 * 1024 * 1024;
      expect((await edge.call('PUT', `${ACME}/files/main/big`, { body: Buffer.alloc(most) })).status).toBe(200);
      expect((await edge.call('PUT', `${ACME}/files/main/big`, { body: Buffer.alloc(most + 1) })).status).toBe(413);
    });

    test('that are too large are refused also when nobody says how large they are', async () => {
      let sent = 0;
      const body = new ReadableStream({
        pull(controller) {
          if (sent++ < 11) controller.enqueue(new Uint8Array(1024 * 1024));
          else controller.close();
        },
      });
      const headers = { authorization: 'Bearer ada-key' };
      const request = { method: 'PUT', body, headers, duplex: 'half' } as RequestInit;
      expect((await fetch(`${edge.base}${ACME}/files/main/big`, request)).status).toBe(413);
    });

    test('are imported as an archive into one agent', async () => {
      const response = await edge.call('POST', `${ACME}/workspace/import?agent=main`, {
        body: Buffer.alloc(700_000),
        headers: { 'content-type': 'application/gzip' },
      });
      expect([response.status, await response.json()]).toEqual([200, { files: 1, bytes: 700_000 }]);
    });
  });

  describe('activity', () => {
    test('is sent when something happened, and not otherwise', async () => {
      let queued = 0;
      edge.services.answer(telemetry.queries.activity, () => ({
        ok: true,
        value: { turns: [], queued: queued++, recent: [] },
      }));
      const leaving = new AbortController();
      const response = await fetch(`${edge.base}${ACME}/activity`, {
        signal: leaving.signal,
        headers: { authorization: 'Bearer ada-key', accept: 'text/event-stream' },
      });
      expect(response.headers.get('content-type')).toContain('text/event-stream');
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      expect((await reader.read()).value).toContain('"queued":0');
      edge.services.publishEvent('tenant.bolt.dispatch.evt.TurnRequested', {});
      edge.services.publishEvent(dispatch.events.TurnRequested.subject('acme'), {});
      expect((await reader.read()).value).toContain('"queued":1');
      leaving.abort();
    });
  });

  describe('the platform', () => {
    test('is for its operators alone', async () => {
      edge.services.credentials({
        'ada-key': { kind: 'key', id: 'adakey0000000000', tenants: [{ tenant: 'acme', role: 'admin' }] },
        'operator-key': { kind: 'platform', id: 'operator', tenants: [] },
      });
      edge.services.answer(identity.queries.tenants, ({ claims }) => {
        expect(claims).toMatchObject({ tenant: 'platform', role: 'operator' });
        return { ok: true, value: { items: [{ tenant: 'acme', createdAt: NOW, suspended: false }], nextCursor: null } };
      });
      expect((await edge.call('GET', '/api/platform/tenants', { key: 'operator-key' })).status).toBe(200);
      expect((await edge.call('GET', '/api/platform/tenants')).status).toBe(403);
    });

    test('sees what one tenant is doing, and nothing of one that does not exist', async () => {
      edge.services.answer(identity.queries.asOf, ({ subjectTenant }) => ({
        ok: true,
        value: { status: subjectTenant === 'acme' ? 'active' : 'absent', members: [] },
      }));
      expect((await edge.call('GET', '/api/platform/tenants/acme/activity', { key: 'operator-key' })).status).toBe(200);
      expect((await edge.call('GET', '/api/platform/tenants/nosuch/activity', { key: 'operator-key' })).status).toBe(
        404,
      );
    });

    test('publishes prices a million tokens, exactly', async () => {
      edge.services.answer(budgets.commands.publishPrices, () => ({ ok: true, value: { priceVersion: 2 } }));
      const price = {
        model: 'openai/small',
        inputUsdPerMillion: '0.15',
        cacheReadUsdPerMillion: '0.075',
        cacheWriteUsdPerMillion: '0',
        outputUsdPerMillion: '0.6',
      };
      const published = await edge.call('PUT', '/api/platform/prices', {
        key: 'operator-key',
        body: { prices: [price] },
      });
      expect(await published.json()).toEqual({ priceVersion: 2 });
      expect(edge.services.asked(budgets.commands.publishPrices).at(-1)!.input.prices[0]).toMatchObject({
        inputPico: 150_000n,
        cacheReadPico: 75_000n,
        outputPico: 600_000n,
      });
    });

    test('publishes and shows prices of long prompts, of every kind, from a day on, and under other names', async () => {
      const rates = { inputUsdPerMillion: '3', cacheReadUsdPerMillion: '0.3', cacheWriteUsdPerMillion: '3.75' };
      const price = {
        model: 'anthropic/sonnet',
        ...rates,
        cacheWrite1hUsdPerMillion: '6',
        outputUsdPerMillion: '15',
        reasoningUsdPerMillion: '15.000001',
        tiers: [{ inputTokensOver: 200_000, ...rates, outputUsdPerMillion: '22.5' }],
        validFrom: '2027-01-01T00:00:00.000Z',
        aliases: [{ dated: 'sonnet' }],
      };
      edge.services.answer(budgets.commands.publishPrices, () => ({ ok: true, value: { priceVersion: 3 } }));
      await edge.call('PUT', '/api/platform/prices', { key: 'operator-key', body: { prices: [price] } });
      const sent = edge.services.asked(budgets.commands.publishPrices).at(-1)!.input.prices[0]!;
      expect(sent).toMatchObject({ cacheWrite1hPico: 6_000_000n, reasoningPico: 15_000_001n, aliases: price.aliases });
      expect(sent.tiers).toMatchObject([{ inputTokensOver: 200_000, outputPico: 22_500_000n }]);

      const stored = { ...sent, validFrom: price.validFrom, aliases: price.aliases };
      edge.services.answer(budgets.queries.prices, () => ({
        ok: true,
        value: { priceVersion: 3, prices: [{ ...stored, source: 'operator', priceVersion: 3 }] },
      }));
      const listed = await edge.call('GET', '/api/platform/prices', { key: 'operator-key' });
      expect(await listed.json()).toEqual({
        priceVersion: 3,
        prices: [{ ...price, source: 'operator', priceVersion: 3 }],
      });
    });

    test.each([
      ['finer than a pico-USD a token', { inputUsdPerMillion: '0.0000001' }],
      ['below zero', { inputUsdPerMillion: '-1' }],
      ['a number', { inputUsdPerMillion: 1 }],
      ['spelled with an exponent', { inputUsdPerMillion: '1e3' }],
      ['longer than any price', { inputUsdPerMillion: '1234567890123456789' }],
    ])('refuses a price that is %s', async (_what, change) => {
      const price = {
        model: 'openai/small',
        inputUsdPerMillion: '1',
        cacheReadUsdPerMillion: '1',
        cacheWriteUsdPerMillion: '1',
        outputUsdPerMillion: '1',
      };
      const publish = (body: object) =>
        edge.call('PUT', '/api/platform/prices', { key: 'operator-key', body: { prices: [body] } });
      edge.services.answer(budgets.commands.publishPrices, () => ({ ok: true, value: { priceVersion: 4 } }));
      expect((await publish(price)).status).toBe(200);
      expect((await publish({ ...price, ...change })).status).toBe(400);
    });
  });

  describe('the door', () => {
    test('names what is not ready', async () => {
      const ready = await edge.call('GET', '/readyz', { key: null });
      expect(ready.status).toBe(503);
      expect(await ready.json()).toMatchObject({
        status: 'not_ready',
        checks: { nats: 'ready', identity: 'ready', memory: 'not_ready' },
      });
      expect((await edge.call('GET', '/healthz', { key: null })).status).toBe(200);
      expect(await (await edge.call('GET', '/metrics', { key: null })).text()).toContain('reef_edge_request_duration');
    });

    test('shows the console and the reference without scripts from elsewhere', async () => {
      for (const path of ['/', '/api/docs']) {
        const response = await edge.call('GET', path, { key: null });
        expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
        expect(await response.text()).toContain('<h1>Reef');
      }
    });

    test('refuses heads over 16 KB, other methods and unknown paths, and never shows a stack', async () => {
      expect((await edge.call('GET', '/healthz', { headers: { 'x-long': 'x'.repeat(17 * 1024) } })).status).toBe(431);
      for (const [method, path] of [
        ['GET', '/api/nothing'],
        ['POST', '/healthz'],
        ['GET', '/v1/nothing'],
        ['GET', '/api/%zz'],
      ] as const) {
        const response = await edge.call(method, path);
        expect([400, 404]).toContain(response.status);
        expect(response.headers.get('x-request-id')).not.toBeNull();
        expect(await response.text()).not.toMatch(/ at |node_modules/);
      }
      const text = await new Promise<string>((resolve) => {
        const socket = connect(edge.edge.port, '127.0.0.1', () => socket.write('NOT HTTP\r\n\r\n'));
        socket.setEncoding('utf8').on('data', resolve);
      });
      expect(text).toContain('400 Bad Request');
    });

    test('says that a service is away, not that something broke', async () => {
      edge.services.answer(memory.queries.memories, () => ({
        ok: false,
        code: 'unavailable',
        message: 'memory is not running',
      }));
      const response = await edge.call('GET', `${ACME}/memories`);
      expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1']);
    });
  });
});
