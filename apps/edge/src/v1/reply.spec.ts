import { describe, expect, test } from '@jest/globals';
import { refused } from '../http/refusals.js';
import { ChatReply } from './chat-reply.js';
import { ResponsesReply } from './responses-reply.js';
import { responsesRequest } from './responses-request.js';

const usage = {
  inputTokens: 10,
  cacheReadTokens: 4,
  cacheWriteTokens: 1,
  cacheWrite1hTokens: 0,
  outputTokens: 6,
  reasoningTokens: 2,
};
const chat = (includeUsage: boolean) => new ChatReply('t1', 'openclaw/"x"', includeUsage, 1_700_000_000_999);
const events = (text: string) =>
  text
    .split('\n\n')
    .filter(Boolean)
    .map((event) => event.replace(/^event: .*\n/, '').replace('data: ', ''))
    .map((data) => (data === '[DONE]' ? data : JSON.parse(data)));

describe('chat chunks', () => {
  test('begin with the role, carry any text unharmed, and end with the reason and [DONE]', () => {
    const odd = 'line\n\ndata: "quoted" \u2028 \\ é 🐚';
    const reply = chat(false);
    const [opening, text, closing, done] = events(
      reply.opening() + reply.text(odd) + reply.closing({ finishReason: 'length', usage }),
    );
    expect(opening).toMatchObject({
      id: 'chatcmpl-t1',
      created: 1_700_000_000,
      model: 'openclaw/"x"',
      choices: [{ delta: { role: 'assistant' } }],
    });
    expect(text.choices[0]).toEqual({ index: 0, delta: { content: odd }, logprobs: null, finish_reason: null });
    expect(closing.choices[0]).toMatchObject({ delta: {}, finish_reason: 'length' });
    expect(closing).not.toHaveProperty('usage');
    expect(done).toBe('[DONE]');
  });

  test('tell usage in a chunk of its own when asked, and null when the provider never said', () => {
    const [, totals] = events(chat(true).closing({ finishReason: 'stop', usage }));
    expect(totals).toMatchObject({
      choices: [],
      usage: {
        prompt_tokens: 15,
        completion_tokens: 8,
        total_tokens: 23,
        prompt_tokens_details: { cached_tokens: 4 },
        completion_tokens_details: { reasoning_tokens: 2 },
      },
    });
    const [, unknown] = events(chat(true).closing({ finishReason: 'stop', usage: null }));
    expect(unknown.usage).toBeNull();
  });

  test('of a failure hold the error and no [DONE]', () => {
    const told = chat(false).failing(refused('turn_failed', 'the provider hung up', { reason: 'provider_failed' }));
    expect(events(told)).toEqual([
      {
        error: {
          message: 'the provider hung up',
          type: 'server_error',
          code: 'turn_failed',
          param: null,
          details: { reason: 'provider_failed' },
        },
      },
    ]);
  });
});

describe('response events', () => {
  test('are numbered without a gap, and the last one holds the whole', () => {
    const reply = new ResponsesReply('t1', responsesRequest.parse({ model: 'openclaw', input: 'x' }), 0);
    const told = events(
      reply.opening() + reply.text('a') + reply.text('b') + reply.closing({ finishReason: 'length', usage }),
    );
    expect(told.map(({ sequence_number: number }) => number)).toEqual(told.map((_event, index) => index));
    expect(told.at(-1)).toMatchObject({
      type: 'response.incomplete',
      response: {
        status: 'incomplete',
        incomplete_details: { reason: 'max_output_tokens' },
        output: [{ content: [{ text: 'ab' }] }],
        usage: { total_tokens: 23 },
      },
    });
  });
});
