import { describe, expect, test } from '@jest/globals';
import { deltasOf } from './deltas.js';

async function textOf(...pieces: (string | Uint8Array)[]): Promise<string> {
  async function* body() {
    for (const piece of pieces) yield typeof piece === 'string' ? new TextEncoder().encode(piece) : piece;
  }
  let text = '';
  for await (const delta of deltasOf(body())) text += delta;
  return text;
}
const delta = (content: string) => `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`;
const finish = 'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n';

describe('a streamed answer', () => {
  test('is whole however the bytes are cut, even inside a letter', async () => {
    const bytes = new TextEncoder().encode(`: hello\n\n${delta('Grüße')}${delta(', 世界')}${finish}`);
    const cut = Array.from(bytes, (_, index) => bytes.slice(index, index + 1));
    expect(await textOf(...cut)).toBe('Grüße, 世界');
  });

  test('that breaks off, or tells of an error, is not taken for a short one', async () => {
    await expect(textOf(delta('Half'))).rejects.toThrow('broke off');
    await expect(textOf(delta('Half'), 'data: {"error":{"message":"budget exhausted"}}\n\n')).rejects.toThrow(
      'budget exhausted',
    );
  });
});
