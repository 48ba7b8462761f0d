import { request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import OpenAI, { APIError } from 'openai';
import type { SimulatorConfig } from './config.js';
import { configFromEnvironment } from './config.js';
import { createSimulator } from './server.js';
import type { Step } from './script.js';
import type { ServedCall } from './served.js';

async function start(config: Partial<SimulatorConfig> = {}) {
  const simulator = createSimulator({ latencyMs: 0, tokensPerSecond: 0, failEvery: 0, ...config });
  await new Promise<void>((resolve) => simulator.server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(simulator.server.address() as AddressInfo).port}`;
  const client = new OpenAI({
    baseURL: `${url}/v1`,
    apiKey: config.apiKey ?? 'unused',
    maxRetries: 0,
    logLevel: 'off',
  });
  return {
    ...simulator,
    url,
    client,
    ask: (messages: OpenAI.ChatCompletionMessageParam[], tools?: string[]) =>
      client.chat.completions.create({ model: 'sim-echo', messages, ...(tools ? { tools: tools.map(tool) } : {}) }),
    say: async (text: string) => {
      const answer = await client.chat.completions.create({
        model: 'sim-echo',
        messages: [{ role: 'user', content: text }],
      });
      return answer.choices[0]!.message.content;
    },
    play: (steps: Step[], more: Partial<OpenAI.ChatCompletionCreateParamsStreaming> = {}) =>
      client.chat.completions.create({
        ...more,
        model: 'sim-script',
        messages: [{ role: 'user', content: JSON.stringify(steps) }],
        stream: true,
        stream_options: { include_usage: true },
      }),
    async [Symbol.asyncDispose]() {
      simulator.server.closeAllConnections();
      await new Promise((resolve) => simulator.server.close(resolve));
    },
  };
}

function tool(name: string): OpenAI.ChatCompletionTool {
  return { type: 'function', function: { name, parameters: { type: 'object' } } };
}

async function collect(stream: AsyncIterable<OpenAI.ChatCompletionChunk>) {
  const chunks: OpenAI.ChatCompletionChunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');
  return {
    chunks,
    text,
    usage: chunks.at(-1)?.usage,
    finish: chunks.findLast((c) => c.choices[0])?.choices[0]?.finish_reason,
  };
}

async function until(condition: () => boolean) {
  for (let waitedMs = 0; !condition() && waitedMs < 3_000; waitedMs += 10) await sleep(10);
  expect(condition()).toBe(true);
}

describe('the wire format', () => {
  test('a stream is a role, pieces of content, a finish reason, the usage and [DONE]', async () => {
    await using simulator = await start();
    const response = await fetch(`${simulator.url}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({
        model: 'sim-script',
        stream: true,
        stream_options: { include_usage: true },
        messages: [{ role: 'user', content: '[{"text":"two words"}]' }],
      }),
    });
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    expect(response.headers.get('x-simulation')).toBe('true');
    const events = (await response.text()).split('\n\n').filter((event) => event !== '');
    expect(events.at(-1)).toBe('data: [DONE]');
    const chunks = events.slice(0, -1).map((event) => JSON.parse(event.replace('data: ', '')));
    expect(chunks.map((chunk) => chunk.choices[0]?.delta)).toEqual([
      { role: 'assistant', content: '', refusal: null },
      { content: 'two' },
      { content: ' words' },
      {},
      undefined,
    ]);
    expect(chunks.map((chunk) => chunk.choices[0]?.finish_reason)).toEqual([null, null, null, 'stop', undefined]);
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: { prompt_tokens: 10, completion_tokens: 3, total_tokens: 13, prompt_tokens_details: { cached_tokens: 0 } },
    });
    expect(chunks.every((chunk) => chunk.system_fingerprint === 'simulation')).toBe(true);
    expect(chunks.slice(0, -1).every((chunk) => chunk.usage === null)).toBe(true);
  });

  test('the openai client reads a tool call streamed in pieces', async () => {
    await using simulator = await start();
    const stream = await simulator.play([
      {
        toolCalls: [
          { name: 'read_file', arguments: { path: 'a long name.md' } },
          { name: 'list_files', arguments: {} },
        ],
      },
    ]);
    const calls: { id?: string; name?: string; arguments: string }[] = [];
    const { finish } = await collect(
      (async function* () {
        for await (const chunk of stream) {
          for (const call of chunk.choices[0]?.delta.tool_calls ?? []) {
            const known = (calls[call.index] ??= { arguments: '' });
            known.id ??= call.id!;
            known.name ??= call.function!.name!;
            known.arguments += call.function?.arguments ?? '';
          }
          yield chunk;
        }
      })(),
    );
    expect(finish).toBe('tool_calls');
    expect(calls).toEqual([
      { id: expect.stringMatching(/^call_/), name: 'read_file', arguments: '{"path":"a long name.md"}' },
      { id: expect.stringMatching(/^call_/), name: 'list_files', arguments: '{}' },
    ]);
  });

  test('without stream the whole answer comes with its usage', async () => {
    await using simulator = await start();
    const answer = await simulator.client.chat.completions.create({
      model: 'sim-script',
      messages: [{ role: 'user', content: '[{"tokens":100}]' }],
    });
    expect(answer.choices[0]).toMatchObject({ finish_reason: 'stop', message: { role: 'assistant' } });
    expect(answer.usage).toMatchObject({ prompt_tokens: 8, completion_tokens: 100, total_tokens: 108 });
    expect(answer.system_fingerprint).toBe('simulation');
  });

  test('a limit of 40 tokens gives 40 of 41, and all of 40', async () => {
    await using simulator = await start();
    const over = await collect(await simulator.play([{ tokens: 41 }], { max_tokens: 40 }));
    expect([over.finish, over.usage?.completion_tokens, over.text.length]).toEqual(['length', 40, 160]);
    const exact = await collect(await simulator.play([{ tokens: 40 }], { max_completion_tokens: 40 }));
    expect([exact.finish, exact.usage?.completion_tokens]).toEqual(['stop', 40]);
  });

  test('the models are listed', async () => {
    await using simulator = await start();
    const { data } = await simulator.client.models.list();
    expect(data.map((model) => model.id)).toEqual(['sim-echo', 'sim-script']);
  });
});

describe('refusals', () => {
  test('a malformed request, an unknown model and a broken script are 400 in the envelope', async () => {
    await using simulator = await start();
    const post = (body: string) => fetch(`${simulator.url}/v1/chat/completions`, { method: 'POST', body });
    for (const body of [
      '{',
      '{"model":"sim-echo","messages":[]}',
      '{"model":"sim-script","messages":[{"role":"user","content":"hi"}]}',
    ]) {
      const response = await post(body);
      expect(response.status).toBe(400);
      expect(await response.json()).toEqual({
        error: {
          message: expect.any(String),
          type: 'invalid_request_error',
          param: null,
          code: body.includes('sim-script') ? 'script_invalid' : null,
        },
      });
    }
    const unknown = await post('{"model":"gpt-9","messages":[{"role":"user","content":"hi"}]}');
    expect([unknown.status, await unknown.json()]).toMatchObject([400, { error: { code: 'model_not_found' } }]);
    expect(simulator.stats).toMatchObject({ requests: 4, refused: 4, promptTokens: 0 });
  });

  test('a body above 20 MB is refused, told in advance or not', async () => {
    await using simulator = await start();
    const big = Buffer.alloc(20 * 1024 * 1024 + 1, ' ');
    const post = (headers: Record<string, string>, body?: Buffer) =>
      new Promise<number | undefined>((resolve, reject) => {
        const sent = httpRequest(`${simulator.url}/v1/chat/completions`, { method: 'POST', headers });
        sent.once('response', (response) => resolve(response.resume().statusCode)).once('error', reject);
        if (body) sent.write(body);
        else sent.flushHeaders();
      });
    expect(await post({ 'content-length': String(big.length) })).toBe(413);
    expect(await post({ 'transfer-encoding': 'chunked' }, big)).toBe(413);
    const fits = await fetch(`${simulator.url}/v1/chat/completions`, { method: 'POST', body: big.subarray(1) });
    expect(fits.status).toBe(400);
  });

  test('the expected key is asked for', async () => {
    await using simulator = await start({ apiKey: 'right' });
    expect(await simulator.say('hi')).toContain('simulation');
    const wrong = new OpenAI({ baseURL: `${simulator.url}/v1`, apiKey: 'wrong', maxRetries: 0 });
    await expect(wrong.models.list()).rejects.toMatchObject({ status: 401, code: 'invalid_api_key' });
  });

  test('a rate limit says when to come back, and a script can let the second attempt through', async () => {
    await using simulator = await start();
    const steps: Step[] = [{ error: { status: 429, retryAfterMs: 1_500, attempts: 1 }, text: 'through' }];
    const refusal = await simulator.play(steps).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(APIError);
    const { status, headers } = refusal as APIError<number, Headers>;
    expect(status).toBe(429);
    expect(headers.get('retry-after')).toBe('2');
    expect(headers.get('x-ratelimit-remaining-requests')).toBe('0');
    expect((await collect(await simulator.play(steps))).text).toBe('through');
  });

  test('every third request fails when told so', async () => {
    await using simulator = await start({ failEvery: 3 });
    const outcomes = [];
    for (let i = 0; i < 6; i += 1)
      outcomes.push(
        await simulator.say('hi').then(
          () => 200,
          (error: APIError) => error.status,
        ),
      );
    expect(outcomes).toEqual([200, 200, 500, 200, 200, 500]);
  });
});

describe('misbehaviour on request', () => {
  test('a dropped stream ends without a finish reason after its chunks', async () => {
    await using simulator = await start();
    const seen: string[] = [];
    const stream = await simulator.play([{ text: 'one two three', dropAfterChunks: 2 }]);
    await expect(
      (async () => {
        for await (const chunk of stream) seen.push(chunk.choices[0]?.delta.content ?? '');
      })(),
    ).rejects.toThrow();
    expect(seen.join('')).toBe('one two');
    expect(simulator.stats).toMatchObject({ completionTokens: 2, aborted: 0 });
  });

  test('usage can be left out or invented', async () => {
    await using simulator = await start();
    const silent = await collect(await simulator.play([{ text: 'hi', usage: null }]));
    expect([silent.text, silent.usage]).toEqual(['hi', null]);
    const invented = await collect(
      await simulator.play([{ text: 'hi', usage: { prompt_tokens: 7, completion_tokens: 9 } }]),
    );
    expect(invented.usage).toEqual({ prompt_tokens: 7, completion_tokens: 9 });
    expect(simulator.stats.completionTokens).toBe(1 + 9);
  });

  test('a paced stream takes its time, and a client that leaves stops it', async () => {
    await using simulator = await start();
    const startedMs = performance.now();
    await collect(await simulator.play([{ tokens: 20, tokensPerSecond: 100, delayMs: 50 }]));
    expect(performance.now() - startedMs).toBeGreaterThan(50 + 180);

    const before = simulator.stats.completionTokens;
    const stream = await simulator.play([{ tokens: 10_000, tokensPerSecond: 100 }]);
    let chunks = 0;
    for await (const _ of stream) if (++chunks > 5) break;
    await until(() => simulator.stats.aborted === 1);
    expect(simulator.stats.completionTokens - before).toBeGreaterThan(3);
    expect(simulator.stats.completionTokens - before).toBeLessThan(100);
  });

  test('each answer is counted by itself, as far as it went out, under the name that its script gave it', async () => {
    await using simulator = await start();
    await collect(await simulator.play([{ label: 'whole', tokens: 20 }]));
    const stream = await simulator.play([{ label: 'left', tokens: 10_000, tokensPerSecond: 100 }]);
    let chunks = 0;
    for await (const _ of stream) if (++chunks > 5) break;
    await expect(collect(await simulator.play([{ text: 'one two three', dropAfterChunks: 2 }]))).rejects.toThrow();
    await until(() => simulator.stats.aborted === 1);
    const { calls } = (await (await fetch(`${simulator.url}/served`)).json()) as { calls: ServedCall[] };
    expect(calls).toMatchObject([
      { label: 'whole', completionTokens: 20, end: 'finished' },
      { label: 'left', end: 'aborted' },
      { label: null, completionTokens: 2, end: 'dropped' },
    ]);
    expect(calls.reduce((sum, { completionTokens }) => sum + completionTokens, 0)).toBe(
      simulator.stats.completionTokens,
    );
  });

  test('nonsense is not JSON', async () => {
    await using simulator = await start();
    await expect(simulator.play([{ nonsense: true }]).then(collect)).rejects.toThrow(SyntaxError);
  });
});

describe('the default reply uses its prompt', () => {
  const workspace = (identity: string, more = '') =>
    `# Workspace\n## AGENTS.md\nBe kind.\n## IDENTITY.md\n# IDENTITY.md - Who Am I?\n${identity}\n## USER.md\n- **Name:** Sam\n${more}`;

  test.each(['Name: Robin', '- **Name:** Robin'])(
    'an agent whose identity says "%s" introduces itself as Robin',
    async (identity) => {
      await using simulator = await start();
      const answer = await simulator.ask([
        { role: 'system', content: workspace(identity) },
        { role: 'user', content: 'hi' },
      ]);
      expect(answer.choices[0]!.message.content).toContain('I am Robin');
    },
  );

  test('a name that was left empty is not taken from the next line or from the user', async () => {
    await using simulator = await start();
    const answer = await simulator.ask([
      { role: 'system', content: workspace('- **Name:**\n- **Creature:** cat') },
      { role: 'user', content: 'hi' },
    ]);
    expect(answer.choices[0]!.message.content).toContain('This is a simulation of a model.');
  });

  test('a name given outside the files is used when the files give none', async () => {
    await using simulator = await start();
    const system = `Your name is Kim, unless IDENTITY.md gives another.\n${workspace('(This file is missing.)')}`;
    const answer = await simulator.ask([
      { role: 'system', content: system },
      { role: 'user', content: 'hi' },
    ]);
    expect(answer.choices[0]!.message.content).toContain('I am Kim');
  });

  test('it knows what was said before, and from a recalled memory', async () => {
    await using simulator = await start();
    const told: OpenAI.ChatCompletionMessageParam[] = [
      { role: 'user', content: 'Hello, my name is Ada and I like tea.' },
      { role: 'assistant', content: 'Hello.' },
    ];
    const name = await simulator.ask([...told, { role: 'user', content: 'What is my name?' }]);
    expect(name.choices[0]!.message.content).toBe('Your name is Ada.');
    const said = await simulator.ask([...told, { role: 'user', content: 'What did I say about tea?' }]);
    expect(said.choices[0]!.message.content).toContain('my name is Ada and I like tea.');
    const recalled = await simulator.ask([
      { role: 'system', content: workspace('Name: Robin', '## Memories\n- My name is Grace Hopper') },
      { role: 'user', content: 'do you know my name?' },
    ]);
    expect(recalled.choices[0]!.message.content).toBe('Your name is Grace Hopper.');
    expect(await simulator.say('what is my name?')).toContain('do not know');
  });

  test.each([
    ['remember that the shop opens at nine', 'remember', { text: 'the shop opens at nine' }],
    ['Please write a file notes/a.md with "two lines"', 'write_file', { path: 'notes/a.md', content: 'two lines' }],
    ['read file notes/a.md.', 'read_file', { path: 'notes/a.md' }],
    ['list files', 'list_files', {}],
    ['what is my name?', 'memory_search', { query: 'my name' }],
  ])('"%s" becomes a call of %s when that tool is offered', async (text, name, args) => {
    await using simulator = await start();
    const tools = ['remember', 'write_file', 'read_file', 'list_files', 'memory_search'];
    const answer = await simulator.ask([{ role: 'user', content: text }], tools);
    const call = answer.choices[0]!.message.tool_calls![0] as OpenAI.ChatCompletionMessageFunctionToolCall;
    expect([call.function.name, JSON.parse(call.function.arguments)]).toEqual([name, args]);
  });

  test('a tool that is not offered is not called', async () => {
    await using simulator = await start();
    expect(await simulator.say('list files')).toContain('no list_files tool');
  });

  test('what a tool found is told', async () => {
    await using simulator = await start();
    const round = (name: string, args: object, result: string): OpenAI.ChatCompletionMessageParam[] => [
      {
        role: 'assistant',
        tool_calls: [{ id: 'call_1', type: 'function', function: { name, arguments: JSON.stringify(args) } }],
      },
      { role: 'tool', tool_call_id: 'call_1', content: result },
    ];
    const read = await simulator.ask([
      { role: 'user', content: 'read file a.md' },
      ...round('read_file', { path: 'a.md' }, 'the text'),
    ]);
    expect(read.choices[0]!.message.content).toBe('a.md says:\nthe text');
    const name = await simulator.ask([
      { role: 'user', content: 'what is my name?' },
      ...round('memory_search', {}, '1. My name is Ada'),
    ]);
    expect(name.choices[0]!.message.content).toBe('Your name is Ada.');
  });
});

describe('the configuration', () => {
  test('single variables win over SIMULATOR_CONFIG', () => {
    expect(
      configFromEnvironment({ SIMULATOR_CONFIG: '{"latencyMs":5,"failEvery":2}', SIMULATOR_LATENCY_MS: '7' }),
    ).toEqual({ latencyMs: 7, tokensPerSecond: 0, failEvery: 2 });
  });

  test('a mistake is named without its value', () => {
    expect(() => configFromEnvironment({ SIMULATOR_CONFIG: '{"apiKey":"secret"' })).toThrow(
      'SIMULATOR_CONFIG must be a JSON object.',
    );
    expect(() => configFromEnvironment({ SIMULATOR_LATENCY_MS: 'soon' })).toThrow('latencyMs');
  });
});
