import type { ChildProcess } from 'node:child_process';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { boundInputTokens } from './bound.js';
import type { Reservation, ReservationAnswer, Settlement, ToolSpec, TurnInput, TurnOutput } from './engine.js';
import { NOTHING_USED } from './engine.js';
import type { NativeEngineLimits } from './native-engine.js';
import { NativeEngine } from './native-engine.js';
import { providersFromEnvironment } from './providers.js';
import { nativeTools } from './tools.js';

const root = join(import.meta.dirname, '../../../..');
let simulator: ChildProcess;
let simulatorUrl: string;

beforeAll(async () => {
  const compiler = join(root, 'node_modules/typescript-native/bin/tsc');
  execFileSync(process.execPath, [compiler, '-b', 'apps/simulator'], { cwd: root });
  simulator = spawn(process.execPath, [join(root, 'apps/simulator/dist/main.js'), 'serve'], {
    env: { PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(simulator.stdout!, 'data')) as [Buffer];
  simulatorUrl = `http://127.0.0.1:${JSON.parse(line.toString()).port}`;
}, 60_000);

afterAll(async () => {
  simulator.kill('SIGTERM');
  await once(simulator, 'exit');
});

interface Steps {
  reserve?: (call: Reservation, number: number) => ReservationAnswer | Promise<ReservationAnswer>;
  tool?: (call: {
    toolCallId: string;
    name: string;
    argumentsJson: string;
  }) => Promise<{ content: string; isError: boolean }>;
  onText?: (text: string) => void;
}

/** Plays dispatch's part and writes down all that is asked of it. */
class RecordingHost {
  readonly reserved: Reservation[] = [];
  readonly settled: Settlement[] = [];
  readonly events: TurnOutput[] = [];
  readonly tools: { toolCallId: string; name: string; argumentsJson: string }[] = [];
  readonly progressed: number[] = [];

  constructor(private readonly steps: Steps = {}) {}

  async reserve(call: Reservation): Promise<ReservationAnswer> {
    this.reserved.push(call);
    return (
      (await this.steps.reserve?.(call, this.reserved.length)) ?? { ok: true, outputTokensMax: call.outputTokensMax }
    );
  }
  async settle(call: Settlement): Promise<void> {
    this.settled.push(call);
  }
  async tool(call: { toolCallId: string; name: string; argumentsJson: string }) {
    this.tools.push(call);
    return (await this.steps.tool?.(call)) ?? { content: `did ${call.name}`, isError: false };
  }
  progress(_callId: string, outputTokensSeen: number): void {
    this.progressed.push(outputTokensSeen);
  }
  emit(event: TurnOutput): void {
    this.events.push(event);
    if (event.type === 'text') this.steps.onText?.(event.text);
  }
  get text(): string {
    return this.events.map((event) => (event.type === 'text' ? event.text : '')).join('');
  }
  /** Every granted reservation is settled, and none twice. */
  expectBalanced(): void {
    expect(this.settled.map((each) => each.callId)).toEqual(this.reserved.map((each) => each.callId));
  }
}

function turn(more: Partial<TurnInput> = {}): TurnInput {
  return {
    tenant: 'acme',
    turnId: 'turn-1',
    agent: 'main',
    model: 'simulator/sim-echo',
    system: { stable: '## IDENTITY.md\n- **Name:** Robin', dynamic: 'Now' },
    history: [],
    message: 'hi',
    tools: [],
    outputTokensMax: 1_000,
    modelCallsMax: 10,
    signal: new AbortController().signal,
    deadlineMs: Date.now() + 20_000,
    ...more,
  };
}

const scripted = (steps: object[], more: Partial<TurnInput> = {}) =>
  turn({ model: 'simulator/sim-script', message: JSON.stringify(steps), ...more });

function engine(limits: Partial<NativeEngineLimits> = {}, environment: Record<string, string> = {}) {
  const providers = providersFromEnvironment({ SIMULATOR_URL: simulatorUrl, ...environment });
  return new NativeEngine(providers, { backoffMs: 5, ...limits });
}

async function provider(handle: (request: { body: string }, response: ServerResponse, number: number) => void) {
  let requests = 0;
  const bodies: string[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const body = Buffer.concat(parts).toString();
      bodies.push(body);
      handle({ body }, response, ++requests);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bodies,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const sse = (...events: object[]) => events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('');
const openAiChunk = (delta: object, finish_reason: string | null = null) => ({
  id: 'c',
  object: 'chat.completion.chunk',
  created: 1,
  model: 'm',
  choices: [{ index: 0, delta, finish_reason }],
});

const failsWith = (outcome: unknown, code: string) => expect(outcome).toMatchObject({ status: 'failed', code });

describe('a turn', () => {
  test('answers in the persona of its workspace, and settles what the provider reported', async () => {
    const host = new RecordingHost();
    const outcome = await engine().run(turn({ history: [{ role: 'user', content: 'My name is Ada.' }] }), host);
    expect(outcome).toMatchObject({ status: 'completed', finishReason: 'stop', text: host.text });
    expect(host.text).toContain('Hello Ada. I am Robin');
    host.expectBalanced();
    const { usage, finishReason } = host.settled[0]!;
    expect(finishReason).toBe('stop');
    expect(usage).toEqual({
      ...NOTHING_USED,
      inputTokens: expect.any(Number),
      outputTokens: Math.ceil(host.text.length / 4),
    });
    expect(usage!.inputTokens).toBeGreaterThan(10);
    expect(usage!.inputTokens).toBeLessThan(host.reserved[0]!.inputTokensMax);
    expect(outcome.usage).toEqual(usage);
    expect(outcome).toMatchObject({
      messages: [
        { role: 'user', content: 'hi' },
        { role: 'assistant', content: host.text },
      ],
    });
  });

  test('runs the tool that the model asks for and reserves every call, the later one for more input', async () => {
    const host = new RecordingHost({ tool: async () => ({ content: 'Buy milk', isError: false }) });
    const outcome = await engine().run(turn({ message: 'read file notes/a.md', tools: nativeTools }), host);
    expect(host.tools).toEqual([{ toolCallId: '1.1', name: 'read_file', argumentsJson: '{"path":"notes/a.md"}' }]);
    expect(outcome).toMatchObject({ status: 'completed', text: 'notes/a.md says:\nBuy milk' });
    expect(host.events.map((event) => event.type).slice(0, 2)).toEqual(['tool_call', 'tool_result']);
    expect(host.reserved).toHaveLength(2);
    expect(host.reserved[1]!.inputTokensMax).toBeGreaterThan(host.reserved[0]!.inputTokensMax + 'Buy milk'.length);
    host.expectBalanced();
    const [first, second] = host.settled.map((each) => each.usage!);
    expect(outcome.usage!.inputTokens).toBe(first!.inputTokens + second!.inputTokens);
  });

  test('keeps the texts of two rounds apart, in the stream as in the reply', async () => {
    const host = new RecordingHost();
    const steps = [{ text: 'Let me look.', toolCall: { name: 'list_files' } }, { text: 'Done.' }];
    const outcome = await engine().run(scripted(steps, { tools: nativeTools }), host);
    expect(outcome.status === 'completed' && outcome.text).toBe('Let me look.\n\nDone.');
    expect(host.text).toBe('Let me look.\n\nDone.');
  });

  test('of nine tool calls in a round eight run, and the model is told about the ninth', async () => {
    const host = new RecordingHost();
    const toolCalls = Array.from({ length: 9 }, () => ({ name: 'list_files', arguments: {} }));
    const outcome = await engine().run(scripted([{ toolCalls }, { text: 'ok' }], { tools: nativeTools }), host);
    expect([outcome.status, host.tools.length]).toEqual(['completed', 8]);
  });

  test('a tool that does not exist, arguments that are not JSON and a tool that throws are told to the model', async () => {
    const host = new RecordingHost({ tool: () => Promise.reject(new Error('secret detail')) });
    const toolCalls = [
      { name: 'rm', arguments: {} },
      { name: 'read_file', arguments: '{"path": ' },
      { name: 'list_files', arguments: {} },
    ];
    const outcome = await engine().run(scripted([{ toolCalls }, { text: 'sorry' }], { tools: nativeTools }), host);
    expect(outcome).toMatchObject({ status: 'completed', text: 'sorry' });
    expect(host.tools.map((call) => call.name)).toEqual(['list_files']);
    expect(host.events).toContainEqual({ type: 'tool_result', toolCallId: '1.3', name: 'list_files', isError: true });
  });

  test('a tool result of 50,001 characters is cut to 50,000, one of 50,000 is not', async () => {
    for (const [length, sent] of [
      [50_001, 50_000],
      [50_000, 50_000],
    ] as const) {
      const seen: string[] = [];
      await using fake = await provider(({ body }, response, number) => {
        const messages = JSON.parse(body).messages as { role: string; content: string }[];
        seen.push(...messages.filter((each) => each.role === 'tool').map((each) => each.content));
        const call = { index: 0, id: 'x', type: 'function', function: { name: 'list_files', arguments: '{}' } };
        response.end(
          sse(
            ...(number === 1
              ? [openAiChunk({ tool_calls: [call] }), openAiChunk({}, 'tool_calls')]
              : [openAiChunk({ content: 'ok' }), openAiChunk({}, 'stop')]),
          ),
        );
      });
      const host = new RecordingHost({ tool: async () => ({ content: 'x'.repeat(length), isError: false }) });
      await engine({}, { SIMULATOR_URL: fake.url }).run(turn({ tools: nativeTools }), host);
      expect(seen.map((each) => each.length)).toEqual([sent]);
      expect(seen[0]!.endsWith('x')).toBe(length === sent);
    }
  });

  test('an agent that never stops asking for tools fails after the calls it may make', async () => {
    const host = new RecordingHost();
    const input = scripted([{ toolCall: { name: 'list_files' } }], { tools: nativeTools, modelCallsMax: 3 });
    failsWith(await engine().run(input, host), 'too_many_model_calls');
    expect([host.reserved.length, host.tools.length]).toEqual([3, 2]);
    host.expectBalanced();
  });

  test('an answer cut by its limit says so, and a tool call cut in two is not run', async () => {
    const host = new RecordingHost();
    const cut = await engine().run(scripted([{ tokens: 41 }], { outputTokensMax: 40 }), host);
    expect(cut).toMatchObject({ status: 'completed', finishReason: 'length', usage: { outputTokens: 40 } });
    const call = { name: 'write_file', arguments: { path: 'a', content: 'x'.repeat(400) } };
    const tool = await engine().run(scripted([{ toolCall: call }], { outputTokensMax: 40, tools: nativeTools }), host);
    expect([tool.status, host.tools.length]).toEqual(['completed', 0]);
  });
});

describe('the budget', () => {
  test('a refusal ends the turn with its own code and details, and no call is made', async () => {
    const refusal = { ok: false, code: 'budget_exhausted', message: 'No.', details: { left: '0' } } as const;
    const before = await stats();
    const host = new RecordingHost({ reserve: () => refusal });
    const outcome = await engine().run(turn(), host);
    expect(outcome).toMatchObject({ status: 'failed', code: 'budget_exhausted', details: { left: '0' } });
    expect([host.settled.length, (await stats()).requests - before.requests]).toEqual([0, 0]);
  });

  test('a smaller grant is what the provider is asked for', async () => {
    await using fake = await provider((_request, response) => {
      response.end(sse(openAiChunk({ content: 'ok' }), openAiChunk({}, 'stop')));
    });
    const host = new RecordingHost({ reserve: () => ({ ok: true, outputTokensMax: 17 }) });
    await engine({}, { SIMULATOR_URL: fake.url }).run(turn(), host);
    expect(JSON.parse(fake.bodies[0]!)).toMatchObject({ max_tokens: 17, stream_options: { include_usage: true } });
  });

  test('the reservation that dispatch made in advance is used for the first attempt only', async () => {
    const host = new RecordingHost();
    const firstReservation = { callId: 'early', answer: Promise.resolve({ ok: true, outputTokensMax: 9 } as const) };
    const steps = [{ text: 'x', toolCall: { name: 'list_files' } }, { text: 'y' }];
    await engine().run(scripted(steps, { tools: nativeTools, firstReservation }), host);
    expect(host.settled.map((each) => each.callId)).toEqual(['early', host.reserved[0]!.callId]);
  });

  test('a reservation in advance is settled as unused when the model is unknown or the turn already cancelled', async () => {
    const firstReservation = { callId: 'early', answer: Promise.resolve({ ok: true, outputTokensMax: 9 } as const) };
    for (const more of [{ model: 'nobody/x' }, { signal: AbortSignal.abort() }]) {
      const host = new RecordingHost();
      const outcome = await engine().run(turn({ firstReservation, ...more }), host);
      expect(outcome).toMatchObject(
        'model' in more ? { status: 'failed', code: 'model_unknown' } : { status: 'cancelled' },
      );
      expect(host.settled).toEqual([
        { callId: 'early', outcome: 'cancelled', usage: NOTHING_USED, outputTokensSeen: 0 },
      ]);
    }
  });

  test('missing usage stays missing', async () => {
    const host = new RecordingHost();
    const outcome = await engine().run(scripted([{ text: 'twelve chars', usage: null }]), host);
    expect(outcome).toMatchObject({ status: 'completed', usage: undefined });
    expect(host.settled).toEqual([
      {
        callId: host.reserved[0]!.callId,
        outcome: 'completed',
        outputTokensSeen: 3,
        finishReason: 'stop',
        rateLimits: { throttled: false },
      },
    ]);
    const half = new RecordingHost();
    await engine().run(scripted([{ text: 'hi', usage: { prompt_tokens: 5 } }]), half);
    expect(half.settled[0]!.usage).toBeUndefined();
  });

  test('cached and reasoning tokens are counted once', async () => {
    const host = new RecordingHost();
    const usage = {
      prompt_tokens: 100,
      completion_tokens: 50,
      total_tokens: 150,
      prompt_tokens_details: { cached_tokens: 60 },
      completion_tokens_details: { reasoning_tokens: 20 },
    };
    await engine().run(scripted([{ text: 'hi', usage }]), host);
    expect(host.settled[0]!.usage).toEqual({
      inputTokens: 40,
      cacheReadTokens: 60,
      cacheWriteTokens: 0,
      cacheWrite1hTokens: 0,
      outputTokens: 30,
      reasoningTokens: 20,
    });
  });

  test.each([
    ['a total that is less than its parts', { prompt_tokens: 5, completion_tokens: 5, total_tokens: 9 }],
    ['a negative number', { prompt_tokens: 5, completion_tokens: -1 }],
    [
      'more cached than there was',
      { prompt_tokens: 5, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 6 } },
    ],
    [
      'more reasoning than output',
      { prompt_tokens: 5, completion_tokens: 5, completion_tokens_details: { reasoning_tokens: 6 } },
    ],
  ])('usage with %s is no usage', async (_what, usage) => {
    const host = new RecordingHost();
    await engine().run(scripted([{ text: 'hi', usage }]), host);
    expect(host.settled[0]).toMatchObject({ outcome: 'completed', outputTokensSeen: 1 });
    expect(host.settled[0]!.usage).toBeUndefined();
  });

  test('reasoning that is counted beside the completion is told by the total', async () => {
    const host = new RecordingHost();
    const usage = {
      prompt_tokens: 10,
      completion_tokens: 5,
      total_tokens: 45,
      completion_tokens_details: { reasoning_tokens: 30 },
    };
    await engine().run(scripted([{ text: 'hi', usage }]), host);
    expect(host.settled[0]!.usage).toMatchObject({ inputTokens: 10, outputTokens: 5, reasoningTokens: 30 });
  });

  test('output is told as it streams: after every 64 tokens, never beyond the grant', async () => {
    const host = new RecordingHost();
    await using fake = await provider((_request, response) => {
      const words = Array.from({ length: 150 }, () => openAiChunk({ content: 'word' }));
      response.end(sse(...words, openAiChunk({}, 'stop')));
    });
    await engine({}, { SIMULATOR_URL: fake.url }).run(turn({ outputTokensMax: 100 }), host);
    expect(host.progressed).toEqual([64, 100]);
    expect(host.settled[0]!.outputTokensSeen).toBe(100);
  });

  test('the bound grows by every byte, of text and of tools', () => {
    const bound = (message: string, tools: readonly ToolSpec[] = []) =>
      boundInputTokens({ stable: '', dynamic: '' }, [], message, tools);
    expect(bound('ж'.repeat(10)) - bound('')).toBe(20);
    expect(bound('', nativeTools) - bound('')).toBeGreaterThan(JSON.stringify(nativeTools).length);
  });
});

describe('a provider in trouble', () => {
  test('a rate limit is waited out, each attempt with a reservation of its own', async () => {
    const host = new RecordingHost();
    const startedMs = performance.now();
    const steps = [{ error: { status: 429, retryAfterMs: 120, attempts: 1 }, text: 'through' }];
    const outcome = await engine().run(scripted(steps), host);
    expect(outcome).toMatchObject({ status: 'completed', text: 'through' });
    expect(performance.now() - startedMs).toBeGreaterThan(115);
    expect(host.settled).toMatchObject([{ outcome: 'failed', usage: NOTHING_USED }, { outcome: 'completed' }]);
    host.expectBalanced();
  });

  test('what the provider says about its limits is told with the settlement', async () => {
    await using fake = await provider((_request, response, number) => {
      response.setHeader('x-ratelimit-remaining-requests', number === 1 ? '0' : '59');
      response.setHeader('x-ratelimit-reset-requests', '1s');
      if (number === 1) response.writeHead(429, { 'retry-after-ms': '5' }).end('{"error":{}}');
      else response.end(sse(openAiChunk({ content: 'ok' }), openAiChunk({}, 'stop')));
    });
    const host = new RecordingHost();
    await engine({}, { SIMULATOR_URL: fake.url }).run(turn(), host);
    expect(host.settled.map((each) => each.rateLimits)).toEqual([
      { throttled: true, retryAfterMs: 5, remainingRequests: 0, resetAtMs: expect.any(Number) },
      { throttled: false, remainingRequests: 59, resetAtMs: expect.any(Number) },
    ]);
  });

  test('a redirect is not followed: the key stays where it belongs', async () => {
    let visits = 0;
    await using elsewhere = await provider((_request, response) => {
      visits++;
      response.end();
    });
    await using fake = await provider((_request, response) => {
      response.writeHead(307, { location: `${elsewhere.url}/v1/chat/completions` }).end();
    });
    const host = new RecordingHost();
    failsWith(await engine({}, { SIMULATOR_URL: fake.url }).run(turn(), host), 'provider_error');
    expect([visits, host.settled.length, host.settled[0]!.usage]).toEqual([0, 1, NOTHING_USED]);
  });

  test('an answer that is over is not waited for until its connection closes', async () => {
    await using fake = await provider((_request, response) => {
      response.write(`${sse(openAiChunk({ content: 'ok' }), openAiChunk({}, 'stop'))}data: [DONE]\n\n`);
    });
    const startedMs = performance.now();
    const outcome = await engine({}, { SIMULATOR_URL: fake.url }).run(turn(), new RecordingHost());
    expect(outcome).toMatchObject({ status: 'completed', text: 'ok' });
    expect(performance.now() - startedMs).toBeLessThan(500);
  });

  test('a connection is used again', async () => {
    const sockets = new Set<unknown>();
    await using fake = await provider((_request, response) => {
      sockets.add(response.socket);
      response.end(`${sse(openAiChunk({ content: 'ok' }), openAiChunk({}, 'stop'))}data: [DONE]\n\n`);
    });
    const one = engine({}, { SIMULATOR_URL: fake.url });
    for (let count = 0; count < 3; count++) {
      await one.run(turn(), new RecordingHost());
      await sleep(20);
    }
    expect(sockets.size).toBe(1);
  });

  test('a rate limit that lasts fails the turn after three attempts', async () => {
    const host = new RecordingHost();
    failsWith(
      await engine().run(scripted([{ error: { status: 429, retryAfterMs: 1 } }]), host),
      'provider_rate_limited',
    );
    expect(host.settled).toHaveLength(3);
    host.expectBalanced();
  });

  test('a wait that would pass the deadline is not begun', async () => {
    const host = new RecordingHost();
    const input = scripted([{ error: { status: 429, retryAfterMs: 10_000 } }], { deadlineMs: Date.now() + 2_000 });
    const startedMs = performance.now();
    failsWith(await engine().run(input, host), 'provider_rate_limited');
    expect([host.settled.length, performance.now() - startedMs < 1_000]).toEqual([1, true]);
  });

  test('500s are retried, a 400 is not, and neither tells more than its status', async () => {
    const host = new RecordingHost();
    const secret = 'a-secret-of-the-user';
    const outcome = await engine().run(
      scripted([{ error: { status: 500, body: { error: { message: secret } } } }]),
      host,
    );
    expect(outcome).toEqual({
      status: 'failed',
      code: 'provider_error',
      message: 'The model provider answered 500.',
      details: { status: 500 },
      text: '',
      usage: NOTHING_USED,
    });
    expect(host.settled).toHaveLength(3);
    const once = new RecordingHost();
    const refused = await engine().run(scripted([{ error: { status: 400 } }]), once);
    expect([refused, once.settled.length]).toMatchObject([{ code: 'provider_error' }, 1]);
    expect(JSON.stringify([outcome, refused, host.settled])).not.toContain(secret);
  });

  test('a provider that is not there is tried three times and cost nothing', async () => {
    const host = new RecordingHost();
    const gone = await provider(() => undefined);
    await gone[Symbol.asyncDispose]();
    failsWith(await engine({}, { SIMULATOR_URL: gone.url }).run(turn(), host), 'provider_error');
    expect(host.settled.map((each) => each.usage)).toEqual([NOTHING_USED, NOTHING_USED, NOTHING_USED]);
  });

  test('a stream that drops after its first words fails the turn at once, with what was seen', async () => {
    const host = new RecordingHost();
    const outcome = await engine().run(scripted([{ text: 'one two three four', dropAfterChunks: 2 }]), host);
    failsWith(outcome, 'provider_stream_broken');
    expect(outcome.text).toBe('one two');
    expect(host.settled).toEqual([
      {
        callId: host.reserved[0]!.callId,
        outcome: 'failed',
        outputTokensSeen: 2,
        rateLimits: { throttled: false },
      },
    ]);
  });

  test('a stream that drops before its first word is tried again', async () => {
    await using fake = await provider((_request, response, number) => {
      response.write(sse(openAiChunk({ role: 'assistant', content: '' })));
      if (number === 1) setTimeout(() => response.destroy(), 20);
      else response.end(sse(openAiChunk({ content: 'here' }), openAiChunk({}, 'stop')));
    });
    const host = new RecordingHost();
    const outcome = await engine({}, { SIMULATOR_URL: fake.url }).run(turn(), host);
    expect(outcome).toMatchObject({ status: 'completed', text: 'here', usage: undefined });
    host.expectBalanced();
  });

  test('a stream that ends well but without a finish reason is broken, not short', async () => {
    await using fake = await provider((_request, response) => {
      response.end(`${sse(openAiChunk({ content: 'half of' }))}data: [DONE]\n\n`);
    });
    const host = new RecordingHost();
    failsWith(await engine({}, { SIMULATOR_URL: fake.url }).run(turn(), host), 'provider_stream_broken');
    expect(host.settled).toHaveLength(1);
  });

  test('nonsense is called nonsense and not repeated', async () => {
    const host = new RecordingHost();
    failsWith(await engine().run(scripted([{ nonsense: true }]), host), 'provider_nonsense');
    expect(host.settled).toHaveLength(1);
  });

  test('an error within the stream fails the turn without repeating its words', async () => {
    await using fake = await provider((_request, response) => {
      response.end(sse(openAiChunk({ content: 'hm' }), { error: { message: 'secret', type: 'server_error' } }));
    });
    const host = new RecordingHost();
    const outcome = await engine({}, { SIMULATOR_URL: fake.url }).run(turn(), host);
    failsWith(outcome, 'provider_error');
    expect(JSON.stringify(outcome)).not.toContain('secret');
  });

  test('a slow provider is waited for, a silent one is given up', async () => {
    const before = await stats();
    const slow = new RecordingHost();
    const patient = engine({ stallMaxMs: 150, firstChunkMaxMs: 400 });
    const paced = await patient.run(scripted([{ tokens: 12, tokensPerSecond: 40, delayMs: 200 }]), slow);
    expect(paced).toMatchObject({ status: 'completed', usage: { outputTokens: 12 } });
    const silent = new RecordingHost();
    failsWith(await patient.run(scripted([{ text: 'well then', hangMs: 5_000 }]), silent), 'provider_stream_broken');
    expect(silent.settled).toMatchObject([{ outcome: 'failed', outputTokensSeen: 1 }]);
    const mute = new RecordingHost();
    failsWith(await patient.run(scripted([{ text: 'well', delayMs: 5_000 }]), mute), 'provider_stream_broken');
    expect(mute.settled).toHaveLength(1);
    await untilAborted(before.aborted + 2);
  });
});

describe('an end from outside', () => {
  test('a client that hangs up stops the stream and is settled once, with what was seen', async () => {
    const before = await stats();
    const client = new AbortController();
    const host = new RecordingHost({ onText: () => host.text.length >= 40 && client.abort() });
    const input = scripted([{ tokens: 10_000, tokensPerSecond: 400 }], { signal: client.signal });
    const outcome = await engine().run(input, host);
    expect(outcome).toMatchObject({ status: 'cancelled', usage: undefined });
    expect(host.settled).toHaveLength(1);
    expect(host.settled[0]).toMatchObject({ outcome: 'cancelled', callId: host.reserved[0]!.callId });
    expect(host.settled[0]!.outputTokensSeen).toBeGreaterThanOrEqual(10);
    expect('usage' in host.settled[0]!).toBe(false);
    await untilAborted(before.aborted + 1);
  });

  test('a deadline ends a call, a wait between attempts and a tool that never returns', async () => {
    const soon = () => ({ deadlineMs: Date.now() + 200 });
    const call = new RecordingHost();
    failsWith(await engine().run(scripted([{ text: 'a', delayMs: 5_000 }], soon()), call), 'deadline_exceeded');
    expect(call.settled).toMatchObject([{ outcome: 'cancelled' }]);
    const tool = new RecordingHost({ tool: () => new Promise(() => undefined) });
    failsWith(
      await engine().run(scripted([{ toolCall: { name: 'list_files' } }], { tools: nativeTools, ...soon() }), tool),
      'deadline_exceeded',
    );
    expect(tool.settled).toHaveLength(1);
    const late = new RecordingHost();
    failsWith(await engine().run(turn({ deadlineMs: Date.now() - 1 }), late), 'deadline_exceeded');
    expect(late.settled).toMatchObject([{ outcome: 'cancelled', usage: NOTHING_USED }]);
  });

  test('a cancel between two attempts ends the wait', async () => {
    const client = new AbortController();
    const host = new RecordingHost();
    setTimeout(() => client.abort(), 100);
    const startedMs = performance.now();
    const input = scripted([{ error: { status: 429, retryAfterMs: 10_000 } }], { signal: client.signal });
    expect(await engine().run(input, host)).toMatchObject({ status: 'cancelled' });
    expect(performance.now() - startedMs).toBeLessThan(2_000);
    host.expectBalanced();
  });
});

describe('Anthropic', () => {
  const start = (usage: object) => ({
    type: 'message_start',
    message: { id: 'm', type: 'message', role: 'assistant', model: 'claude', content: [], stop_reason: null, usage },
  });
  const event = (each: { type: string }) => `event: ${each.type}\ndata: ${JSON.stringify(each)}\n\n`;
  const events = (...each: { type: string; [field: string]: unknown }[]) => each.map(event).join('');
  const text = (words: string) => [
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: words } },
    { type: 'content_block_stop', index: 0 },
  ];
  const stop = (reason: string, output_tokens: number) => [
    { type: 'message_delta', delta: { stop_reason: reason, stop_sequence: null }, usage: { output_tokens } },
    { type: 'message_stop' },
  ];
  const input = { input_tokens: 10, cache_read_input_tokens: 200, cache_creation_input_tokens: 30, output_tokens: 1 };
  const claude = (url: string) => engine({}, { ANTHROPIC_API_KEY: 'key-of-the-platform', ANTHROPIC_BASE_URL: url });

  test('caches the stable part, keeps a thinking signature over a tool round, and counts the kinds of tokens apart', async () => {
    await using fake = await provider((_request, response, number) => {
      response.setHeader('content-type', 'text/event-stream');
      if (number > 1) return void response.end(events(start(input), ...text('Milk.'), ...stop('end_turn', 7)));
      response.end(
        events(
          start(input),
          { type: 'content_block_start', index: 0, content_block: { type: 'thinking', thinking: '', signature: '' } },
          { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'Hm.' } },
          { type: 'content_block_delta', index: 0, delta: { type: 'signature_delta', signature: 'signed' } },
          { type: 'content_block_stop', index: 0 },
          {
            type: 'content_block_start',
            index: 1,
            content_block: { type: 'tool_use', id: 'toolu_1', name: 'read_file', input: {} },
          },
          {
            type: 'content_block_delta',
            index: 1,
            delta: { type: 'input_json_delta', partial_json: '{"path":"a.md"}' },
          },
          { type: 'content_block_stop', index: 1 },
          ...stop('tool_use', 20),
        ),
      );
    });
    const host = new RecordingHost();
    const outcome = await claude(fake.url).run(
      turn({ model: 'anthropic/claude-x', tools: nativeTools, outputTokensMax: 321 }),
      host,
    );
    expect(outcome).toMatchObject({ status: 'completed', text: 'Milk.' });
    expect(host.settled.map((each) => each.usage)).toEqual([
      {
        inputTokens: 10,
        cacheReadTokens: 200,
        cacheWriteTokens: 30,
        cacheWrite1hTokens: 0,
        outputTokens: 20,
        reasoningTokens: 0,
      },
      {
        inputTokens: 10,
        cacheReadTokens: 200,
        cacheWriteTokens: 30,
        cacheWrite1hTokens: 0,
        outputTokens: 7,
        reasoningTokens: 0,
      },
    ]);
    const first = JSON.parse(fake.bodies[0]!);
    expect(first.max_tokens).toBe(321);
    expect(first.system).toMatchObject([{ cache_control: { type: 'ephemeral' } }, { text: 'Now' }]);
    expect(first.system[1].cache_control).toBeUndefined();
    const second = JSON.parse(fake.bodies[1]!);
    expect(second.messages[1].content).toMatchObject([
      { type: 'thinking', thinking: 'Hm.', signature: 'signed' },
      { type: 'tool_use', id: 'toolu_1', input: { path: 'a.md' } },
    ]);
    expect(second.messages[2].content).toMatchObject([
      { type: 'tool_result', tool_use_id: 'toolu_1', content: 'did read_file' },
    ]);
  });

  test('a stream without its end is broken, and its usage unknown', async () => {
    await using fake = await provider((_request, response) => {
      response.setHeader('content-type', 'text/event-stream');
      response.end(events(start(input), ...text('half of')));
    });
    const host = new RecordingHost();
    failsWith(await claude(fake.url).run(turn({ model: 'anthropic/claude-x' }), host), 'provider_stream_broken');
    expect(host.settled).toMatchObject([{ outcome: 'failed', outputTokensSeen: 2 }]);
    expect(host.settled[0]!.usage).toBeUndefined();
  });

  test('a stream that ends before its first word is tried again, and an empty end is never an answer', async () => {
    await using fake = await provider((_request, response) => {
      response.setHeader('content-type', 'text/event-stream');
      response.end(events(start(input)));
    });
    const host = new RecordingHost();
    failsWith(await claude(fake.url).run(turn({ model: 'anthropic/claude-x' }), host), 'provider_stream_broken');
    expect(host.settled.map((each) => each.usage)).toEqual([undefined, undefined, undefined]);
    host.expectBalanced();
  });

  test('overloaded (529) is retried', async () => {
    await using fake = await provider((_request, response, number) => {
      response.setHeader('content-type', number === 1 ? 'application/json' : 'text/event-stream');
      if (number === 1)
        response.writeHead(529).end('{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}');
      else response.end(events(start(input), ...text('ok'), ...stop('end_turn', 1)));
    });
    const host = new RecordingHost();
    expect(await claude(fake.url).run(turn({ model: 'anthropic/claude-x' }), host)).toMatchObject({
      status: 'completed',
      text: 'ok',
    });
    host.expectBalanced();
  });
});

async function stats(): Promise<{ requests: number; aborted: number }> {
  return (await (await fetch(`${simulatorUrl}/stats`)).json()) as { requests: number; aborted: number };
}

/** The provider notices that we left a moment after we did. */
async function untilAborted(count: number): Promise<void> {
  for (let waitedMs = 0; waitedMs < 2_000 && (await stats()).aborted < count; waitedMs += 20) await sleep(20);
  expect((await stats()).aborted).toBe(count);
}
