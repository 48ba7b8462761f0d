import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

interface Answering {
  /** How long each answer takes, ms. */
  holdMs: number;
  /** The next calls are turned away with this many ms to wait. */
  refusals: number[];
}

/** A model provider that counts how many calls of a model are under way at once; any model will do. */
export class CountingProvider implements AsyncDisposable {
  readonly #running = new Map<string, number>();
  readonly #most = new Map<string, number>();
  readonly #startedAtMs = new Map<string, number[]>();
  readonly answering: Answering = { holdMs: 100, refusals: [] };
  readonly #server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const { model } = JSON.parse(Buffer.concat(pieces).toString()) as { model: string };
      this.#answer(model, response);
    });
  });

  static async start(): Promise<CountingProvider> {
    const provider = new CountingProvider();
    provider.#server.listen(0, '127.0.0.1');
    await once(provider.#server, 'listening');
    return provider;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** How many calls of a model were ever under way at once. */
  mostOf(model: string): number {
    return this.#most.get(model) ?? 0;
  }

  runningOf(model: string): number {
    return this.#running.get(model) ?? 0;
  }

  startedAtMs(model: string): readonly number[] {
    return this.#startedAtMs.get(model) ?? [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #answer(model: string, response: ServerResponse): void {
    this.#startedAtMs.set(model, [...this.startedAtMs(model), performance.now()]);
    const refusal = this.answering.refusals.shift();
    if (refusal !== undefined) {
      response.writeHead(429, { 'content-type': 'application/json', 'retry-after-ms': String(refusal) });
      response.end(JSON.stringify({ error: { message: 'too many requests', type: 'rate_limit', code: null } }));
      return;
    }
    const running = this.runningOf(model) + 1;
    this.#running.set(model, running);
    this.#most.set(model, Math.max(this.mostOf(model), running));
    const timer = setTimeout(() => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const chunk = { id: 'c', object: 'chat.completion.chunk', created: 0, model };
      const usage = { prompt_tokens: 100, completion_tokens: 20, total_tokens: 120 };
      for (const each of [
        { ...chunk, choices: [{ index: 0, delta: { role: 'assistant', content: 'Hello.' }, finish_reason: null }] },
        { ...chunk, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] },
        { ...chunk, choices: [], usage },
      ])
        response.write(`data: ${JSON.stringify(each)}\n\n`);
      response.end('data: [DONE]\n\n');
    }, this.answering.holdMs);
    response.once('close', () => {
      clearTimeout(timer);
      this.#running.set(model, this.runningOf(model) - 1);
    });
  }
}
