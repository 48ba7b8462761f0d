import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { dispatch } from '@reef/contracts';
import { eventually } from '@reef/testing';
import OpenAI, { APIError } from 'openai';
import { completed, failed, say } from './fixture-services.js';
import { runningEdge, type TestEdge } from './running-edge.js';

// Within a describe, so that its end comes before the end of this file's NATS.
describe('the edge', () => {
  let edge: TestEdge;
  let openai: OpenAI;

  beforeAll(async () => {
    edge = await runningEdge();
    openai = new OpenAI({ apiKey: 'ada-key', baseURL: `${edge.base}/v1` });
  });
  afterAll(async () => {
    await edge[Symbol.asyncDispose]();
  });

  const hello = [{ role: 'user' as const, content: 'hello' }];
  const lastStarted = () => edge.services.asked(dispatch.commands.startTurn).at(-1)!;
  const started = () => edge.services.asked(dispatch.commands.startTurn).length;
  const cancelled = () => edge.services.asked(dispatch.commands.cancelTurn).length;

  describe('the openai client, unmodified', () => {
    test('gets a whole answer, with usage that counts cached and reasoning tokens', async () => {
      edge.services.turnsSay([say('Hello, '), say('Ada.'), completed()]);
      const { data, response } = await openai.chat.completions
        .create({ model: 'openclaw', messages: hello, user: 'ada', temperature: 0.2 })
        .withResponse();
      expect(data.choices[0]?.message.content).toBe('Hello, Ada.');
      expect(data.choices[0]?.finish_reason).toBe('stop');
      expect(data.usage).toMatchObject({ prompt_tokens: 15, completion_tokens: 8, total_tokens: 23 });
      expect(response.headers.get('x-reef-session')).toBe('agent:main:openai-user:ada');
      expect(response.headers.get('x-reef-turn')).toBe(lastStarted().input.turnId);
      expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
      expect(response.headers.get('traceresponse')).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/);
      expect(lastStarted()).toMatchObject({
        subjectTenant: 'acme',
        claims: { tenant: 'acme', role: 'admin', principal: { kind: 'key', id: 'adakey0000000000' } },
        input: { agent: 'main', message: 'hello', user: 'ada', source: 'chat', keyId: 'adakey0000000000' },
      });
    });

    test('streams an answer piece by piece, and its usage at the end when it asked', async () => {
      edge.services.turnsSay([
        { type: 'alive' },
        say('a'),
        { type: 'tool', name: 'read', state: 'called' },
        say('b "\n'),
        completed(),
      ]);
      const stream = await openai.chat.completions.create({
        model: 'openclaw/main',
        messages: hello,
        stream: true,
        stream_options: { include_usage: true },
      });
      const pieces: string[] = [];
      let totalTokens: number | undefined;
      for await (const chunk of stream) {
        pieces.push(chunk.choices[0]?.delta.content ?? '');
        totalTokens = chunk.usage?.total_tokens ?? totalTokens;
      }
      expect(pieces.join('')).toBe('ab "\n');
      expect(totalTokens).toBe(23);
    });

    test('reads models by every name an agent has', async () => {
      const view = {
        agent: 'main',
        name: 'Main',
        model: 'simulated/small',
        instructions: '',
        createdAt: '2026-11-22T00:00:00.000Z',
        archived: false,
      };
      edge.services.answer(dispatch.queries.agents, () => ({
        ok: true,
        value: { items: [view, { ...view, agent: 'old', archived: true }], nextCursor: null },
      }));
      edge.services.answer(dispatch.queries.agent, ({ input }) =>
        input.agent === 'main' ? { ok: true, value: view } : { ok: false, code: 'agent_not_found', message: 'no' },
      );
      const ids = (await openai.models.list()).data.map(({ id }) => id);
      expect(ids).toEqual(['openclaw', 'openclaw/default', 'openclaw/main']);
      for (const id of [...ids, 'openclaw:main', 'agent:main', 'main'])
        expect((await openai.models.retrieve(id)).id).toBe(id);
      await expect(openai.models.retrieve('openclaw/nobody')).rejects.toMatchObject({
        status: 404,
        code: 'agent_not_found',
      });
    });

    test('is told 402 when the budget is exhausted, whole or streamed, and does not try again', async () => {
      for (const stream of [true, false]) {
        edge.services.turnsSay([
          failed('budget_exhausted', 'the monthly limit is reached', { windowEndsAt: '2026-12-01T00:00:00.000Z' }),
        ]);
        const before = started();
        const refused = openai.chat.completions.create({ model: 'openclaw', messages: hello, stream });
        await expect(refused).rejects.toMatchObject({
          status: 402,
          type: 'insufficient_quota',
          code: 'budget_exhausted',
          error: { details: { windowEndsAt: '2026-12-01T00:00:00.000Z' } },
        });
        expect(started()).toBe(before + 1);
      }
    });

    test('throws when a turn fails in mid-stream instead of taking the half for the whole', async () => {
      edge.services.turnsSay([say('half'), failed('provider_failed', 'the provider hung up')]);
      const stream = await openai.chat.completions.create({ model: 'openclaw', messages: hello, stream: true });
      const read = async () => {
        for await (const _chunk of stream);
      };
      await expect(read()).rejects.toThrow(APIError);
    });

    test('throws when a frame was lost on its way, and the turn is stopped', async () => {
      edge.services.answer(dispatch.commands.cancelTurn, () => ({ ok: true, value: { status: 'cancelled' } }));
      edge.services.turnsSay([say('a'), say('b'), say('c'), completed()], { dropSeq: 1 });
      const before = cancelled();
      await expect(
        openai.chat.completions.create({ model: 'openclaw', messages: hello }, { maxRetries: 0 }),
      ).rejects.toMatchObject({
        status: 502,
        code: 'stream_broken',
      });
      await eventually(async () => cancelled() === before + 1);
    });

    test('gets a response, streamed in the order of events its accumulator checks', async () => {
      edge.services.turnsSay([say('Hello, '), say('Ada.'), completed()]);
      const whole = await openai.responses.create({ model: 'openclaw', input: 'hello', instructions: 'be brief' });
      expect(whole.output_text).toBe('Hello, Ada.');
      expect(whole.usage?.total_tokens).toBe(23);
      expect(lastStarted().input.instructions).toBe('be brief');

      const stream = openai.responses.stream({
        model: 'openclaw',
        input: [{ role: 'user', content: [{ type: 'input_text', text: 'hello' }] }],
      });
      const types: string[] = [];
      for await (const event of stream) types.push(event.type);
      expect((await stream.finalResponse()).output_text).toBe('Hello, Ada.');
      expect(types).toEqual([
        'response.created',
        'response.in_progress',
        'response.output_item.added',
        'response.content_part.added',
        'response.output_text.delta',
        'response.output_text.delta',
        'response.output_text.done',
        'response.content_part.done',
        'response.output_item.done',
        'response.completed',
      ]);
    });

    test('throws when a streamed response fails half-way', async () => {
      edge.services.turnsSay([say('half'), failed('provider_failed', 'the provider hung up')]);
      const stream = await openai.responses.create({ model: 'openclaw', input: 'hello', stream: true });
      const read = async () => {
        for await (const _event of stream);
      };
      await expect(read()).rejects.toThrow(APIError);
    });
  });

  describe('a turn', () => {
    const chat = (body: object, headers: Record<string, string> = {}) =>
      edge.call('POST', '/v1/chat/completions', { body: { model: 'openclaw', messages: hello, ...body }, headers });

    test('is refused before anything is asked of dispatch when the request cannot be met', async () => {
      const before = started();
      const refusals: [object, string, string][] = [
        [{ n: 2 }, 'unsupported_parameter', 'n'],
        [{ tools: [{ type: 'function' }] }, 'unsupported_parameter', 'tools'],
        [{ fancy: 1 }, 'unknown_parameter', 'fancy'],
        [{ tenant: 'bolt' }, 'unknown_parameter', 'tenant'],
        [{ max_tokens: 'many' }, 'invalid_parameter', 'max_tokens'],
        [
          { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] },
          'unsupported_parameter',
          'messages.0.content.0',
        ],
        [{ messages: [{ role: 'assistant', content: 'hm' }] }, 'invalid_parameter', 'messages.0'],
      ];
      for (const [body, code, param] of refusals) {
        const response = await chat(body);
        expect(response.status).toBe(400);
        expect(await response.json()).toMatchObject({ error: { type: 'invalid_request_error', code, param } });
      }
      expect((await chat({}, { 'x-openclaw-session-key': 'cron:nightly' })).status).toBe(400);
      expect(started()).toBe(before);
    });

    test('takes the session it is told, and the tenant from the key alone', async () => {
      edge.services.turnsSay([completed(null)]);
      const headers = {
        'x-openclaw-session-key': 'agent:main:desk',
        'x-reef-tenant': 'bolt',
        'x-openclaw-model': 'other/model',
      };
      const response = await chat({}, headers);
      expect(response.headers.get('x-reef-session')).toBe('agent:main:desk');
      expect(await response.json()).not.toHaveProperty('usage');
      expect(lastStarted()).toMatchObject({ subjectTenant: 'acme', input: { session: 'agent:main:desk' } });
    });

    test('is cancelled when its client hangs up', async () => {
      edge.services.turnsSay([say('a'), ...Array.from({ length: 200 }, () => ({ type: 'alive' as const }))], {
        everyMs: 20,
      });
      const before = cancelled();
      const leaving = new AbortController();
      const response = await fetch(`${edge.base}/v1/chat/completions`, {
        method: 'POST',
        signal: leaving.signal,
        headers: { authorization: 'Bearer ada-key', 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'openclaw', messages: hello, stream: true }),
      });
      expect(response.status).toBe(200);
      leaving.abort();
      await eventually(async () => cancelled() === before + 1);
    });

    test('of dispatch being full, absent or unknowing has its own status', async () => {
      const answers: [string, number][] = [
        ['session_queue_full', 429],
        ['agent_not_found', 404],
        ['overloaded', 429],
        ['unavailable', 503],
        ['deadline_exceeded', 504],
      ];
      for (const [code, status] of answers) {
        edge.services.answer(dispatch.commands.startTurn, () => ({
          ok: false,
          code: code as 'overloaded',
          message: code,
        }));
        const response = await chat({ stream: true });
        expect([code, response.status]).toEqual([code, status]);
        expect(response.headers.has('retry-after')).toBe(status === 429 || status === 503);
      }
    });

    test('under an Idempotency-Key runs once: the same body is answered again, another one is refused, a running one is a conflict', async () => {
      const turns = new Map<string, string>();
      let status: 'running' | 'completed' = 'completed';
      edge.services.answer(dispatch.queries.turn, ({ input }) => {
        const message = turns.get(input.turnId);
        if (message === undefined) return { ok: false, code: 'turn_not_found', message: 'no' };
        return {
          ok: true,
          value: {
            turnId: input.turnId,
            agent: 'main',
            session: 'agent:main:x',
            user: null,
            model: 'simulated/small',
            source: 'chat',
            status,
            message,
            reply: 'once',
            failure: null,
            usage: null,
            requestedAt: '2026-11-22T00:00:00.000Z',
            endedAt: null,
          },
        };
      });
      const commands = new Map<string, string>();
      edge.services.turnsSay([say('once'), completed()]);
      const key = { 'idempotency-key': 'order-47' };
      const first = await chat({}, key);
      const once = { choices: [{ message: { content: 'once' } }] };
      expect(await first.json()).toMatchObject(once);
      const { commandId, input } = lastStarted();
      turns.set(input.turnId, input.message);
      commands.set(commandId, input.turnId);

      const before = started();
      expect(await (await chat({}, key)).json()).toMatchObject(once);
      status = 'running';
      expect((await chat({}, key)).status).toBe(409);
      expect(started()).toBe(before);

      // The store knows the command under another input, as dispatch's does.
      edge.services.answer(dispatch.commands.startTurn, (heard) => {
        expect(commands.get(heard.commandId)).not.toBe(heard.input.turnId);
        return { ok: false, code: 'command_id_reused', message: 'another input' };
      });
      expect((await chat({ user: 'someone else' }, key)).status).toBe(422);
    });

    test('sent twice at once under one Idempotency-Key is one turn and one conflict', async () => {
      edge.services.answer(dispatch.queries.turn, () => ({ ok: false, code: 'turn_not_found', message: 'no' }));
      edge.services.turnsSay([say('once'), completed()], { everyMs: 30 });
      const key = { 'idempotency-key': 'order-48' };
      const answers = await Promise.all([chat({}, key), chat({}, key)]);
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
    });

    test('needs a key that is known, of a tenant that is not suspended, with a role that may talk', async () => {
      const body = { model: 'openclaw', messages: hello };
      expect((await edge.call('POST', '/v1/chat/completions', { key: null, body })).status).toBe(401);
      expect((await edge.call('POST', '/v1/chat/completions', { key: 'forged', body })).status).toBe(401);
      expect((await edge.call('POST', '/v1/chat/completions', { key: 'late-key', body })).status).toBe(403);
      expect((await edge.call('POST', '/v1/chat/completions', { key: 'eve-key', body })).status).toBe(403);
      expect((await edge.call('POST', '/v1/chat/completions', { key: 'operator-key', body })).status).toBe(403);
    });

    test('that is not JSON, or too large, is refused in the shape of the API', async () => {
      const headers = { 'content-type': 'application/json' };
      const broken = await edge.call('POST', '/v1/chat/completions', { body: '{"model":', headers });
      expect(broken.status).toBe(400);
      expect(await broken.json()).toMatchObject({ error: { code: 'malformed_json' } });
      const large = await edge.call('POST', '/v1/chat/completions', {
        body: `"${'x'.repeat(2 * 1024 * 1024)}"`,
        headers,
      });
      expect(large.status).toBe(413);
      expect(await large.json()).toMatchObject({ error: { code: 'too_large' } });
    });
  });
});
