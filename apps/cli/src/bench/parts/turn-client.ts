import { connect } from 'node:net';
import type { Socket } from 'node:net';

const replyLimitMs = 30_000;
const connectionsMax = 2_000;
const firstToken = /"content":"[^"]/;
const lastBytes = '\r\n0\r\n\r\n';

/** How one streamed chat completion went. Times are from the moment it was due, ms. */
export interface Heard {
  readonly firstTokenMs: number;
  readonly endMs: number;
  /** 200, text, a finish reason, and the closing mark; 0 as a status says that the connection broke. */
  readonly complete: boolean;
  readonly status: number;
  /** Reef's id of the turn; empty where there is none. */
  readonly turn: string;
  /** Headers and body as they came. */
  readonly text: string;
}

/** Where to send requests that are bytes already: a load generator shares the machine with what it measures. */
export interface Target {
  readonly port: number;
  readonly request: Buffer;
}

/** A streamed chat completion as bytes. */
export function chatRequest(url: string, apiKey: string, body: object): Target {
  const { port, host } = new URL(url);
  const json = JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } });
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer ${apiKey}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(json)}\r\n\r\n`;
  return { port: Number(port), request: Buffer.from(head + json) };
}

/**
 * Streams chat completions over kept connections of 127.0.0.1, one request at a time on each. It reads only what it must: an
 * HTTP library's parsing would cost this machine as much as the edge's part of a turn.
 */
export class TurnClient {
  readonly #idle = new Map<number, Connection[]>();
  #open = 0;

  /** @param dueMs when the request should have left, by `performance.now()`: waiting for us is part of the latency. */
  async ask({ port, request }: Target, dueMs = performance.now()): Promise<Heard> {
    const connection = this.#takeIdle(port) ?? this.#connect(port);
    const heard = await connection.ask(request, dueMs);
    if (connection.usable) this.#idle.set(port, [...(this.#idle.get(port) ?? []), connection]);
    else this.#open--;
    return heard;
  }

  close(): void {
    for (const connections of this.#idle.values()) for (const connection of connections) connection.close();
    this.#idle.clear();
  }

  /** A kept connection that nobody has closed meanwhile: a pause between two loads is longer than some live. */
  #takeIdle(port: number): Connection | undefined {
    const idle = this.#idle.get(port) ?? [];
    for (let connection = idle.pop(); connection; connection = idle.pop()) {
      if (connection.usable) return connection;
      this.#open--;
    }
    return undefined;
  }

  #connect(port: number): Connection {
    if (this.#open >= connectionsMax) throw new Error(`more than ${connectionsMax} requests are open: too much load`);
    this.#open++;
    return new Connection(port);
  }
}

class Connection {
  readonly #socket: Socket;
  #hear: ((heard: Heard) => void) | null = null;
  #text = '';
  #dueMs = 0;
  #firstTokenMs = NaN;
  usable = true;

  constructor(port: number) {
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true });
    this.#socket.setEncoding('latin1');
    this.#socket.setTimeout(replyLimitMs, () => this.#socket.destroy());
    this.#socket.on('data', (text: string) => this.#read(text));
    this.#socket.on('error', () => undefined); // 'close' follows.
    this.#socket.on('close', () => {
      this.usable = false;
      this.#end();
    });
  }

  ask(request: Buffer, dueMs: number): Promise<Heard> {
    this.#dueMs = dueMs;
    this.#text = '';
    this.#firstTokenMs = NaN;
    return new Promise((resolve) => {
      this.#hear = resolve;
      if (this.#socket.destroyed) this.#end();
      else this.#socket.write(request);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(text: string): void {
    this.#text += text;
    if (Number.isNaN(this.#firstTokenMs) && firstToken.test(this.#text)) {
      this.#firstTokenMs = performance.now() - this.#dueMs;
    }
    if (this.#text.endsWith(lastBytes)) this.#end();
    // Only a refusal has a length; its connection is not worth the parsing.
    else if (!this.#text.startsWith('HTTP/1.1 200')) this.#socket.destroySoon();
  }

  #end(): void {
    const hear = this.#hear;
    this.#hear = null;
    const text = this.#text;
    const status = Number(text.slice(9, 12)) || 0;
    const complete =
      status === 200 &&
      text.endsWith(lastBytes) &&
      text.includes('data: [DONE]') &&
      text.includes('"finish_reason":"stop"') &&
      !Number.isNaN(this.#firstTokenMs);
    if (!complete) {
      this.usable = false;
      this.#socket.destroy();
    }
    const endMs = performance.now() - this.#dueMs;
    const turn = /^x-reef-turn: (\S+)/im.exec(text)?.[1] ?? '';
    hear?.({ firstTokenMs: this.#firstTokenMs, endMs, complete, status, turn, text });
  }
}
