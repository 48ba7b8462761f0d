import { request } from 'node:http';

const answerLimitMs = 30_000;
const answerBytesMax = 1024 * 1024;

/** One JSON call to our own edge. An answer that is not JSON has no body. Rejects when there is no answer at all. */
export function call(
  method: 'GET' | 'POST',
  url: string,
  given: { apiKey?: string; body?: unknown },
): Promise<{ status: number; body: unknown }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, {
      method,
      agent: false,
      timeout: answerLimitMs,
      headers: {
        ...(given.apiKey === undefined ? {} : { authorization: `Bearer ${given.apiKey}` }),
        ...(given.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`${url} did not answer within ${answerLimitMs / 1000} s`)));
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      const pieces: Buffer[] = [];
      let length = 0;
      response.on('data', (piece: Buffer) => {
        length += piece.length;
        if (length > answerBytesMax)
          outgoing.destroy(new Error(`${url} answered with more than ${answerBytesMax} bytes`));
        else pieces.push(piece);
      });
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: parse(Buffer.concat(pieces)) }));
    });
    outgoing.end(given.body === undefined ? undefined : JSON.stringify(given.body));
  });
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}
