import { describe, expect, test } from '@jest/globals';
import { ModelAnswer } from '../model-answer.js';
import { ChunkCollector } from './chunks.js';

function collect(...deltas: object[]) {
  const answer = new ModelAnswer({ text: () => undefined, alive: () => undefined, progress: () => undefined });
  const chunks = new ChunkCollector(answer);
  for (const delta of deltas) {
    const failure = chunks.take(JSON.stringify({ choices: [{ index: 0, delta }] }));
    if (failure) return { answer, failure };
  }
  return { answer, failure: chunks.end() };
}

const piece = (call: { index?: number; id?: string | null; name?: string | null; more?: string }) => ({
  tool_calls: [
    {
      ...(call.index !== undefined && { index: call.index }),
      ...(call.id !== undefined && { id: call.id }),
      type: 'function',
      function: { ...(call.name !== undefined && { name: call.name }), arguments: call.more ?? '' },
    },
  ],
});

const calls = (...deltas: object[]) =>
  collect(...deltas).answer.toolCalls.map((call) => [call.name, call.argumentsJson]);

describe('what a chat completion says', () => {
  test('is its text, its reasoning under either name, and its refusal', () => {
    const { answer } = collect(
      { role: 'assistant', content: '' },
      { reasoning_content: 'Let me ' },
      { reasoning: 'think.' },
      { content: 'I ' },
      { content: null, refusal: 'cannot.' },
      { content: '', refusal: false },
    );
    expect([answer.text, answer.reasoning]).toEqual(['I cannot.', [{ text: 'Let me think.', metadata: undefined }]]);
  });

  test('may come in parts of which some are thoughts', () => {
    const thinking = [{ type: 'text', text: 'Hm.' }];
    const { answer } = collect({
      content: [
        { type: 'thinking', thinking },
        { type: 'text', text: 'Yes.' },
      ],
    });
    expect([answer.text, answer.reasoning[0]?.text]).toEqual(['Yes.', 'Hm.']);
  });

  test.each([
    ['a text that is a number', { content: 5 }],
    ['tool calls that are no list', { tool_calls: {} }],
    ['arguments that are an object', { tool_calls: [{ index: 0, id: 'a', function: { name: 'f', arguments: {} } }] }],
    ['a tool call without a name', { tool_calls: [{ index: 0, id: 'a', function: { arguments: '{}' } }] }],
  ])('is nonsense with %s', (_what, delta) => {
    expect(collect(delta).failure).toMatchObject({ code: 'provider_nonsense' });
  });

  test('is nonsense when it is no JSON, or no object', () => {
    for (const data of ['{"choices":', '[]', '5', 'null']) {
      const answer = new ModelAnswer({ text: () => undefined, alive: () => undefined, progress: () => undefined });
      expect(new ChunkCollector(answer).take(data)).toMatchObject({ code: 'provider_nonsense' });
    }
  });
});

describe('tool calls in pieces', () => {
  test('belong together by their index, also when they alternate', () => {
    expect(
      calls(
        piece({ index: 0, id: 'a', name: 'read_file', more: '{"path"' }),
        piece({ index: 1, id: 'b', name: 'list_files' }),
        piece({ index: 0, more: ':"x"}' }),
        piece({ index: 1, more: '{}' }),
      ),
    ).toEqual([
      ['read_file', '{"path":"x"}'],
      ['list_files', '{}'],
    ]);
  });

  test('go on with the last where a server sends no index', () => {
    const begun = piece({ id: 'a', name: 'read_file', more: '{"pa' });
    expect(calls(begun, piece({ more: 'th":"x"}' }), piece({ id: 'b', name: 'list_files', more: '{}' }))).toEqual([
      ['read_file', '{"path":"x"}'],
      ['list_files', '{}'],
    ]);
  });

  test('are two where a server gives both the same index and another id', () => {
    const both = [
      piece({ index: 0, id: 'a', name: 'f', more: '{}' }),
      piece({ index: 0, id: 'b', name: 'f', more: '{}' }),
    ];
    expect(calls(...both)).toHaveLength(2);
  });

  test('may learn their name late', () => {
    expect(calls(piece({ index: 0, id: 'a', more: '{' }), piece({ index: 0, name: 'f', more: '}' }))).toEqual([
      ['f', '{}'],
    ]);
  });

  test('have ids of their own where a server gives none, or one twice', () => {
    const { answer } = collect(
      piece({ index: 0, id: 'a', name: 'f' }),
      piece({ index: 1, id: 'a', name: 'f' }),
      piece({ index: 2, id: null, name: 'f' }),
    );
    expect(new Set(answer.toolCalls.map(({ id }) => id)).size).toBe(3);
    expect(answer.toolCalls[0]?.id).toBe('a');
  });

  test('keep the signature that the next request must repeat', () => {
    const [call] = piece({ index: 0, id: 'a', name: 'f' }).tool_calls;
    const { answer } = collect({
      tool_calls: [{ ...call, extra_content: { google: { thought_signature: 'signed' } } }],
    });
    expect(answer.toolCalls[0]?.metadata).toEqual({ google: { thoughtSignature: 'signed' } });
  });

  test('of one answer are 128 at most', () => {
    const many = (count: number) =>
      collect({
        tool_calls: Array.from({ length: count }, (_, index) => ({ index, id: `${index}`, function: { name: 'f' } })),
      });
    expect(many(128).failure).toBeUndefined();
    expect(many(129).failure).toMatchObject({ code: 'provider_nonsense' });
  });
});
