import { Explained } from '../explained.js';

const lineBytesMax = 1024 * 1024;

/** The texts of a chat completion's event stream. Throws on an error event, and when the stream ends without a finish. */
export async function* deltasOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  let finished = false;
  for await (const piece of body) {
    rest += decoder.decode(piece, { stream: true });
    if (rest.length > lineBytesMax) throw new Explained('the stream holds a line that is too long');
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (!line.startsWith('data:')) continue;
      const data = line.slice('data:'.length).trim();
      if (data === '[DONE]') return;
      const chunk = JSON.parse(data) as Chunk;
      if (chunk.error !== undefined)
        throw new Explained(`the turn failed: ${chunk.error.message ?? 'no reason given'}`);
      const choice = chunk.choices?.[0];
      if (choice?.finish_reason) finished = true;
      if (choice?.delta?.content) yield choice.delta.content;
    }
  }
  if (!finished) throw new Explained('the stream broke off before the answer was finished');
}

interface Chunk {
  readonly error?: { readonly message?: string };
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string | null };
    readonly finish_reason?: string | null;
  }[];
}
