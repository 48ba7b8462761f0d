import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { expect, test } from '@jest/globals';
import { promptOf, functionTool } from '../anthropic/prompt.js';
import type { ModelMessage, ModelRequest } from '../model.js';
import { nativeTools } from '../tools.js';
import { chatRequest } from './request.js';

const conversation: ModelMessage[] = [
  { role: 'user', text: 'What is in my notes?' },
  { role: 'assistant', text: 'I looked before.', reasoning: [], toolCalls: [] },
  { role: 'user', text: 'Look again.' },
  {
    role: 'assistant',
    text: '',
    reasoning: [{ text: 'Two files.', metadata: undefined }],
    toolCalls: [
      { id: 'call_1', name: 'read_file', argumentsJson: ' {"path": "a.md"}', metadata: undefined },
      { id: 'call_2', name: 'list_files', argumentsJson: '', metadata: { google: { thoughtSignature: 'signed' } } },
    ],
  },
  {
    role: 'tool',
    results: [
      { id: 'call_1', name: 'read_file', content: 'Buy milk', isError: false },
      { id: 'call_2', name: 'list_files', content: 'There is no such folder.', isError: true },
    ],
  },
  {
    role: 'assistant',
    text: 'Let me see.',
    reasoning: [],
    toolCalls: [{ id: 'call_3', name: 'read_file', argumentsJson: 'broken', metadata: undefined }],
  },
  { role: 'tool', results: [{ id: 'call_3', name: 'read_file', content: 'no', isError: true }] },
];

/** What the AI SDK sends for the same call. */
async function sentByTheSdk({ system, messages, tools, outputTokensMax }: ModelRequest): Promise<unknown> {
  let body: unknown;
  const model = createOpenAICompatible({
    name: 'some',
    baseURL: 'http://models.internal/v1',
    includeUsage: true,
    fetch: async (_url, init) => {
      body = JSON.parse(String(init?.body));
      return new Response('', { headers: { 'content-type': 'text/event-stream' } });
    },
  })('some-model');
  const whole = [system.stable, system.dynamic].filter((part) => part.trim() !== '').join('\n\n');
  await model.doStream({
    prompt: promptOf({ stable: '', dynamic: whole }, messages),
    maxOutputTokens: outputTokensMax,
    ...(tools.length > 0 && { tools: tools.map(functionTool) }),
  });
  return body;
}

test.each<[string, ModelRequest]>([
  ['a conversation with tools', request({ messages: conversation, tools: nativeTools })],
  ['a question without tools', request({ messages: [{ role: 'user', text: 'Hi' }] })],
  ['no system prompt', request({ system: { stable: ' ', dynamic: '' } })],
  ['half a system prompt', request({ system: { stable: 'Be kind.', dynamic: '' } })],
])('%s is spelt as the AI SDK spells it', async (_what, asked) => {
  const spelt: unknown = JSON.parse(JSON.stringify(chatRequest('some-model', asked, 'max_tokens')));
  expect(spelt).toEqual(await sentByTheSdk(asked));
});

test('OpenAI itself is told the limit under its new name', () => {
  const asked = chatRequest('gpt-5-mini', request({ outputTokensMax: 7 }), 'max_completion_tokens');
  expect(asked).toMatchObject({ max_completion_tokens: 7 });
  expect(asked).not.toHaveProperty('max_tokens');
});

function request(more: Partial<ModelRequest>): ModelRequest {
  return {
    system: { stable: 'Be kind.', dynamic: 'Now: noon' },
    messages: [{ role: 'user', text: 'Hi' }],
    tools: [],
    outputTokensMax: 321,
    ...more,
  };
}
