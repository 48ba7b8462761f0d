import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import { LIMITS } from '../limits.js';

/** Server-sent events to one client, written straight to the socket. What a slow reader leaves lying is bounded: then it is dropped. */
export class EventStream {
  private constructor(private readonly raw: ServerResponse) {}

  static open(reply: FastifyReply): EventStream {
    reply.hijack();
    const { raw } = reply;
    raw.writeHead(200, {
      ...(reply.getHeaders() as Record<string, string>),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no', // Proxies must not collect what should stream.
    });
    raw.on('error', () => raw.destroy());
    return new EventStream(raw);
  }

  get closed(): boolean {
    return this.raw.writableEnded || this.raw.destroyed;
  }

  /** @returns false when the client is gone or was dropped because it does not read. */
  write(data: string | Buffer): boolean {
    if (this.closed) return false;
    this.raw.write(data);
    if (this.raw.writableLength <= LIMITS.clientBufferBytes) return true;
    this.raw.destroy();
    return false;
  }

  end(): void {
    if (!this.closed) this.raw.end();
  }

  onClose(work: () => void): void {
    this.raw.once('close', work);
  }
}
