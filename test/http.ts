export interface Ask {
  /** Sent as a Bearer credential. */
  readonly key?: string;
  readonly json?: unknown;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  /** Ends the request: the client leaves. */
  readonly signal?: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
  readonly text: string;
  /** The parsed body; undefined where it is not JSON. */
  readonly json: unknown;
}

const timeoutMs = 30_000;

/** One request as curl would make it: nothing is retried, and no status throws. */
export async function ask(url: string, method: string, more: Ask = {}): Promise<Answer> {
  const { key, json, headers } = more;
  const body = json === undefined ? more.body : JSON.stringify(json);
  const response = await fetch(url, {
    method,
    headers: {
      ...(key !== undefined && { authorization: `Bearer ${key}` }),
      ...(json !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body }),
    signal: AbortSignal.any([AbortSignal.timeout(more.timeoutMs ?? timeoutMs), ...(more.signal ? [more.signal] : [])]),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  const text = bytes.toString('utf8');
  return { status: response.status, headers: response.headers, bytes, text, json: parsed(text) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
