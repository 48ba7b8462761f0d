import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import OpenAI from 'openai';
import { randomUUID } from 'node:crypto';
import { eventsOf, ledgerCostPico, picoOf } from './books.js';
import { START_LIMIT_MS, type Stack, startStack, type Tenant, until } from './stack.js';

interface Completion {
  id: string;
  choices: { message: { content: string }; finish_reason: string }[];
  usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number };
}
interface Costs {
  items: { user?: string; agent?: string; costUsd: string; calls: number; turns: number }[];
  totalUsd: string;
}
interface Audit {
  items: { service: string; type: string; stream: string; data: Record<string, unknown> }[];
  nextCursor: string | null;
}
interface Balance {
  limits: { window: string; unit: string; cap: string; posted: string; held: string; left: string }[];
}

const TELEMETRY_MS = 10_000;
const chat = (content: string, user?: string) => ({
  model: 'openclaw',
  messages: [{ role: 'user' as const, content }],
  ...(user !== undefined && { user }),
});

// A newcomer's first minutes, in order: each test goes on where the one before has ended.
describe('a newcomer', () => {
  let stack: Stack;
  let tenant: Tenant;
  let openai: OpenAI;
  const askedAt: { beforeTheAgent: string } = { beforeTheAgent: '' };

  beforeAll(async () => {
    stack = await startStack();
    tenant = await stack.signUp();
    openai = new OpenAI({ apiKey: tenant.apiKey, baseURL: `${stack.baseUrl}/v1` });
  }, START_LIMIT_MS);
  afterAll(async () => {
    await stack?.[Symbol.asyncDispose]();
  }, START_LIMIT_MS);

  test('talks to an agent with the unmodified openai client as soon as the sign-up is answered', async () => {
    const fresh = await stack.signUp();
    const client = new OpenAI({ apiKey: fresh.apiKey, baseURL: `${stack.baseUrl}/v1`, maxRetries: 0 });
    const answer = await client.chat.completions.create(chat('Hello there'));
    expect(answer.choices[0]?.message.content).toContain('You said: "Hello there"');
    expect(answer.choices[0]?.finish_reason).toBe('stop');
    expect(answer.usage?.total_tokens).toBe(
      (answer.usage?.prompt_tokens ?? 0) + (answer.usage?.completion_tokens ?? 0),
    );
  });

  test('is remembered from one message to the next, and only under the same user', async () => {
    await openai.chat.completions.create(chat('My name is Ada.', 'ada'));
    const known = await openai.chat.completions.create(chat('What is my name?', 'ada'));
    expect(known.choices[0]?.message.content).toBe('Your name is Ada.');
    const stranger = await openai.chat.completions.create(chat('What is my name?', 'bob'));
    expect(stranger.choices[0]?.message.content).not.toContain('Ada');
  });

  test('reads a streamed answer piece by piece, its usage last', async () => {
    const stream = await openai.chat.completions.create({
      ...chat('Say it in pieces, please'),
      stream: true,
      stream_options: { include_usage: true },
    });
    const pieces: string[] = [];
    let usage: OpenAI.CompletionUsage | null | undefined;
    let finish: string | null | undefined;
    for await (const chunk of stream) {
      const piece = chunk.choices[0]?.delta.content;
      if (piece) pieces.push(piece);
      finish = chunk.choices[0]?.finish_reason ?? finish;
      usage = chunk.usage ?? usage;
    }
    expect(pieces.join('')).toContain('You said: "Say it in pieces, please"');
    expect(finish).toBe('stop');
    expect(usage?.completion_tokens).toBeGreaterThan(0);
  });

  test('gets the same through the Responses API, whole and streamed', async () => {
    const whole = await openai.responses.create({ model: 'openclaw/main', input: 'Good morning' });
    expect(whole.output_text).toContain('You said: "Good morning"');
    expect(whole.status).toBe('completed');
    let streamed = '';
    let completed = false;
    for await (const event of await openai.responses.create({
      model: 'agent:main',
      input: 'Good night',
      stream: true,
    })) {
      if (event.type === 'response.output_text.delta') streamed += event.delta;
      if (event.type === 'response.completed') completed = true;
    }
    expect(streamed).toContain('You said: "Good night"');
    expect(completed).toBe(true);
  });

  test('finds the agents where the client looks for models', async () => {
    const ids = (await openai.models.list()).data.map(({ id }) => id);
    expect(ids).toEqual(['openclaw', 'openclaw/default', 'openclaw/main']);
    expect((await openai.models.retrieve('openclaw/main')).id).toBe('openclaw/main');
  });

  test('sees raw server-sent events that end in [DONE], and a turn to ask about', async () => {
    const answer = await tenant.ask('POST', '/v1/chat/completions', { json: { ...chat('Raw'), stream: true } });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toContain('text/event-stream');
    const events = answer.text.split('\n\n').filter((part) => part.startsWith('data: '));
    expect(events.at(-1)).toBe('data: [DONE]');
    for (const event of events.slice(0, -1))
      expect(JSON.parse(event.slice(6))).toMatchObject({ object: 'chat.completion.chunk' });

    const turn = await tenant.ask('GET', `${tenant.path}/turns/${answer.headers.get('x-reef-turn')}`);
    expect(turn).toMatchObject({ status: 200, json: { status: 'completed', message: 'Raw', agent: 'main' } });
  });

  test('who repeats a chat under one Idempotency-Key gets the same answer and pays once', async () => {
    const headers = { 'idempotency-key': randomUUID() };
    const before = await calls();
    const first = await tenant.ask('POST', '/v1/chat/completions', { json: chat('Only once'), headers });
    const again = await tenant.ask('POST', '/v1/chat/completions', { json: chat('Only once'), headers });
    const [one, two] = [first.json as Completion, again.json as Completion];
    expect([first.status, again.status]).toEqual([200, 200]);
    expect({ id: two.id, choices: two.choices, usage: two.usage }).toEqual({
      id: one.id,
      choices: one.choices,
      usage: one.usage,
    });
    expect((await calls()) - before).toBe(1);
  });

  test('who sends another body under a used Idempotency-Key is refused, and nothing runs', async () => {
    const headers = { 'idempotency-key': randomUUID() };
    await tenant.ask('POST', '/v1/chat/completions', { json: chat('This'), headers });
    const before = await calls();
    const other = await tenant.ask('POST', '/v1/chat/completions', { json: chat('Something else'), headers });
    expect(other.status).toBe(422);
    expect(await calls()).toBe(before);
  });

  test('who repeats a sign-up under one Idempotency-Key has one tenant and the same key', async () => {
    const name = `i-${randomUUID().slice(0, 12)}`;
    const request = {
      json: { email: `${name}@example.com`, password: 'correct horse', tenant: name },
      headers: { 'idempotency-key': randomUUID() },
    };
    const first = await stack.ask('POST', '/api/signup', request);
    const again = await stack.ask('POST', '/api/signup', request);
    expect([first.status, again.status]).toEqual([201, 201]);
    expect(again.json).toEqual(first.json);
    const { headers: _key, ...withoutKey } = request;
    expect(await stack.ask('POST', '/api/signup', withoutKey)).toMatchObject({ status: 409 });
    const { apiKey } = first.json as { apiKey: string };
    expect((await stack.ask('GET', `/api/tenants/${name}/agents`, { key: apiKey })).status).toBe(200);
  });

  test('sees what was spent, to the last picodollar, in the budget, the cost report and the ledger alike', async () => {
    const ledger = await ledgerCostPico(stack, tenant.tenant);
    expect(ledger).toBeGreaterThan(0n);

    const { limits } = (await tenant.ask('GET', `${tenant.path}/budget`)).json as Balance;
    const month = limits.find(({ window, unit }) => window === 'month' && unit === 'usd')!;
    expect({ posted: picoOf(month.posted), held: month.held }).toEqual({ posted: ledger, held: '0' });
    expect(picoOf(month.left)).toBe(picoOf(month.cap) - ledger);

    await until(async () => picoOf((await costs('agent')).totalUsd) === ledger, TELEMETRY_MS, 'the report has it all');
    for (const groupBy of ['agent', 'user', 'model', 'source', 'day']) {
      const { items } = await costs(groupBy);
      expect(items.reduce((sum, { costUsd }) => sum + picoOf(costUsd), 0n)).toBe(ledger);
    }
    const ada = (await costs('user')).items.find(({ user }) => user === 'ada');
    expect(ada).toMatchObject({ turns: 2 });
  });

  test('can follow every step of it in the audit trail, without anybody’s words', async () => {
    const inLogs = Object.values(await eventsOf(stack, tenant.tenant)).reduce((sum, n) => sum + n, 0);
    const trail: Audit['items'] = [];
    await until(
      async () => {
        trail.length = 0;
        let cursor: string | null = '';
        while (cursor !== null) {
          const page: Audit = (
            await tenant.ask('GET', `${tenant.path}/audit?limit=200${cursor && `&after=${encodeURIComponent(cursor)}`}`)
          ).json as Audit;
          trail.push(...page.items);
          cursor = page.nextCursor;
        }
        return trail.length === inLogs;
      },
      TELEMETRY_MS,
      `the trail has all ${inLogs} events`,
    );
    const types = trail.map(({ service, type }) => `${service} ${type}`);
    for (const type of [
      'identity TenantCreated',
      'identity ApiKeyCreated',
      'dispatch AgentCreated',
      'budgets WindowOpened',
      'workspace WorkspaceOpened',
      'dispatch TurnRequested',
      'budgets Reserved',
      'budgets Settled',
      'dispatch TurnCompleted',
    ])
      expect(types).toContain(type);
    const everything = JSON.stringify(trail);
    expect(everything).not.toContain('My name is Ada');
    expect(everything).not.toContain(tenant.email);
    expect(everything).not.toContain(tenant.password);
  });

  test('can ask how things were before they changed', async () => {
    askedAt.beforeTheAgent = new Date().toISOString();
    const created = await tenant.ask('POST', `${tenant.path}/agents`, { json: { agent: 'second', name: 'Second' } });
    expect(created.status).toBe(201);
    const agentsAt = async (at: string) => {
      const answer = await tenant.ask('GET', `${tenant.path}/as-of?at=${at}`);
      expect(answer.status).toBe(200);
      return (answer.json as { agents: { agent: string }[] }).agents.map(({ agent }) => agent).sort();
    };
    expect(await agentsAt(askedAt.beforeTheAgent)).toEqual(['main']);
    expect(await agentsAt(new Date().toISOString())).toEqual(['main', 'second']);
    const long = await tenant.ask('GET', `${tenant.path}/as-of?at=2020-01-01T00:00:00.000Z`);
    expect(long.json).toMatchObject({ tenant: { status: 'absent' }, agents: [], limits: [] });
  });

  test('leaves books from which every table can be rebuilt without a difference', async () => {
    const { code, stdout, stderr } = await stack.reef('replay', '--check');
    expect({ code, end: stdout.trimEnd().split('\n').at(-1), stderr }).toEqual({
      code: 0,
      end: 'no difference',
      stderr: '',
    });
  }, 60_000);

  async function costs(groupBy: string): Promise<Costs> {
    return (await tenant.ask('GET', `${tenant.path}/costs?groupBy=${groupBy}`)).json as Costs;
  }

  async function calls(): Promise<number> {
    const { limits } = (await tenant.ask('GET', `${tenant.path}/budget`)).json as Balance;
    return Number(limits.find(({ unit }) => unit === 'requests')?.posted);
  }
});
