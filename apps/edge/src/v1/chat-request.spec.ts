import { describe, expect, test } from '@jest/globals';
import { chatRequest, readChat } from './chat-request.js';
import { readResponses, responsesRequest } from './responses-request.js';

const chat = (body: object) => readChat(chatRequest.parse({ model: 'openclaw', ...body }), undefined);
const responses = (body: object) => readResponses(responsesRequest.parse({ model: 'openclaw', ...body }), undefined);

describe('a chat request', () => {
  test('becomes the last message, the history before it, and instructions of whoever is no speaker', () => {
    const messages = [
      { role: 'system', content: 'Be kind.' },
      { role: 'user', content: 'one' },
      { role: 'assistant', content: 'two' },
      {
        role: 'developer',
        content: [
          { type: 'text', text: 'Be ' },
          { type: 'text', text: 'brief.' },
        ],
      },
      { role: 'user', content: 'three' },
    ];
    expect(chat({ messages, max_tokens: 5, max_completion_tokens: 7, user: 'ada' })).toEqual({
      ok: true,
      value: {
        agent: 'main',
        model: 'openclaw',
        session: 'agent:main:openai-user:ada',
        user: 'ada',
        message: 'three',
        history: [
          { role: 'user', content: 'one' },
          { role: 'assistant', content: 'two' },
        ],
        instructions: 'Be kind.\n\nBe brief.',
        outputTokensMax: 7,
      },
    });
  });

  test('names its agent by any of the spellings of OpenClaw', () => {
    const messages = [{ role: 'user', content: 'hi' }];
    const agents = ['openclaw', 'openclaw/default', 'openclaw/clerk', 'openclaw:clerk', 'agent:clerk', 'clerk'].map(
      (model) => {
        const turn = chat({ model, messages });
        return turn.ok ? turn.value.agent : turn.code;
      },
    );
    expect(agents).toEqual(['main', 'main', 'clerk', 'clerk', 'clerk', 'clerk']);
    expect(chat({ model: 'openclaw/../x', messages })).toMatchObject({
      code: 'agent_not_found',
      details: { param: 'model' },
    });
  });

  test('may hold 500 earlier messages, and not 501', () => {
    const talk = (earlier: number) =>
      chat({
        messages: [
          ...Array.from({ length: earlier }, () => ({ role: 'user', content: 'x' })),
          { role: 'user', content: 'y' },
        ],
      });
    expect(talk(500)).toMatchObject({ ok: true });
    expect(talk(501)).toMatchObject({ ok: false, code: 'invalid_parameter' });
  });

  test('may say 200,000 characters and be told 20,000, and no more', () => {
    const system = (length: number) => ({ role: 'system', content: 'x'.repeat(length) });
    const user = (length: number) => ({ role: 'user', content: 'x'.repeat(length) });
    expect(chat({ messages: [system(20_000), user(200_000)] })).toMatchObject({ ok: true });
    expect(chat({ messages: [system(20_001), user(1)] })).toMatchObject({ ok: false });
    expect(chat({ messages: [user(200_001)] })).toMatchObject({ ok: false });
    expect(chat({ messages: [user(0)] })).toMatchObject({ ok: false });
  });

  test('may carry empty wishes for what is not supported, and no real ones', () => {
    const messages = [{ role: 'user', content: 'hi' }];
    const harmless = {
      tools: [],
      tool_choice: 'auto',
      n: 1,
      logprobs: false,
      response_format: { type: 'text' },
      modalities: ['text'],
    };
    expect(chat({ messages, ...harmless })).toMatchObject({ ok: true });
    for (const wish of [
      { n: 2 },
      { tools: [{}] },
      { functions: [{}] },
      { tool_choice: 'required' },
      { logprobs: true },
      { audio: {} },
      { response_format: { type: 'json_object' } },
    ])
      expect(chat({ messages, ...wish })).toMatchObject({
        code: 'unsupported_parameter',
        details: { param: Object.keys(wish)[0] },
      });
  });

  test("may not bring a tool's answer or a call", () => {
    const tool = { role: 'tool', tool_call_id: 'x', content: 'y' };
    const calling = { role: 'assistant', content: null, tool_calls: [{}] };
    const user = { role: 'user', content: 'hi' };
    expect(chat({ messages: [tool, user] })).toMatchObject({
      code: 'unsupported_parameter',
      details: { param: 'messages.0.role' },
    });
    expect(chat({ messages: [calling, user] })).toMatchObject({ code: 'unsupported_parameter' });
  });
});

describe('a request of the Responses API', () => {
  test('may be one text, or messages with or without a type', () => {
    expect(responses({ input: 'hi', instructions: 'Be brief.' })).toMatchObject({
      value: { message: 'hi', instructions: 'Be brief.' },
    });
    const input = [
      { role: 'developer', content: 'Be kind.' },
      { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'one' }] },
      { role: 'user', content: [{ type: 'input_text', text: 'two' }] },
    ];
    expect(responses({ input })).toMatchObject({
      value: { message: 'two', history: [{ content: 'one' }], instructions: 'Be kind.' },
    });
  });

  test('cannot continue what is not kept here, nor hand in files or tool outputs', () => {
    expect(responses({ input: 'hi', previous_response_id: 'resp_1' })).toMatchObject({
      details: { param: 'previous_response_id' },
    });
    expect(responses({ input: [{ type: 'function_call_output', output: 'x' }] })).toMatchObject({
      details: { param: 'input.0.role' },
    });
    expect(responses({ input: [{ role: 'user', content: [{ type: 'input_image' }] }] })).toMatchObject({
      details: { param: 'input.0.content.0' },
    });
  });
});
