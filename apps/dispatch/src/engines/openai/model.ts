import { Agent as HttpAgent, type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { urlToHttpOptions } from 'node:url';
import type { Model, ModelRequest } from '../model.js';
import type { ModelAnswer } from '../model-answer.js';
import {
  broken,
  connectionFailure,
  nonsense,
  type ProviderFailure,
  refusal,
  unreachable,
} from '../provider-failure.js';
import { rateLimitsOf } from '../rate-limits.js';
import { ChunkCollector } from './chunks.js';
import { chatRequest } from './request.js';
import { EventReader } from './sse.js';

const CONNECT_MAX_MS = 10_000;
/** An idle connection is closed after this long: providers close theirs later, and a request must not meet that. */
const IDLE_CONNECTION_MS = 4_000;
const IDLE_CONNECTIONS_MAX = 256;
/** What follows the end of an answer is read so that its connection can be used again, at most so much and so long. */
const DRAIN_BYTES_MAX = 65_536;
const DRAIN_MAX_MS = 1_000;

const keptAlive = { keepAlive: true, maxFreeSockets: IDLE_CONNECTIONS_MAX, timeout: IDLE_CONNECTION_MS };
const plain = { send: httpRequest, agent: new HttpAgent(keptAlive) };
const encrypted = { send: httpsRequest, agent: new HttpsAgent(keptAlive) };

export interface ChatServer {
  /** Ends with the version, such as `/v1`. */
  readonly baseUrl: string;
  readonly apiKey: string | undefined;
  readonly outputLimit: 'max_tokens' | 'max_completion_tokens';
}

/** The models of a server that speaks OpenAI's chat completions API, over connections that are kept. */
export function chatModels({ baseUrl, apiKey, outputLimit }: ChatServer): (modelId: string) => Model {
  const url = new URL(`${baseUrl}/chat/completions`);
  const { send, agent } = url.protocol === 'https:' ? encrypted : plain;
  const target = { ...urlToHttpOptions(url), method: 'POST', agent };
  const headers = {
    'content-type': 'application/json',
    accept: 'text/event-stream',
    'user-agent': 'reef',
    ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
  };
  return (modelId) => ({
    modelId,
    call: (request: ModelRequest, answer: ModelAnswer, signal: AbortSignal) => {
      const body = Buffer.from(JSON.stringify(chatRequest(modelId, request, outputLimit)));
      const sent = send({ ...target, headers: { ...headers, 'content-length': body.length } });
      const ended = new ChatCall(sent, answer, signal).ended;
      sent.end(body);
      return ended;
    },
  });
}

/** One request and its answer, until the answer has said that it is whole, or cannot become so. */
class ChatCall {
  readonly ended: Promise<ProviderFailure | undefined>;
  #end!: (failure: ProviderFailure | undefined) => void;
  #responding = false;
  #over = false;
  readonly #abort = () => this.#giveUp(broken());

  constructor(
    private readonly sent: ClientRequest,
    private readonly answer: ModelAnswer,
    private readonly signal: AbortSignal,
  ) {
    this.ended = new Promise((resolve) => (this.#end = resolve));
    sent.on('error', (error) => this.#finish(connectionFailure(error, this.#responding)));
    sent.on('response', (response) => this.#hear(response));
    sent.on('socket', (socket) => {
      if (!socket.connecting) return;
      const timer = setTimeout(() => this.#giveUp(unreachable(true)), CONNECT_MAX_MS);
      socket.once('connect', () => clearTimeout(timer)).once('close', () => clearTimeout(timer));
    });
    signal.addEventListener('abort', this.#abort, { once: true });
    if (signal.aborted) this.#abort();
  }

  #hear(response: IncomingMessage): void {
    this.#responding = true;
    const status = response.statusCode ?? 0;
    this.answer.rateLimits = rateLimitsOf(response.headers, status, Date.now());
    response.on('error', (error) => this.#finish(connectionFailure(error, true)));
    if (status < 200 || status > 299) {
      this.#finish(refusal(status, response.headers));
      return this.#drain(response);
    }
    const chunks = new ChunkCollector(this.answer);
    const complete = () => {
      if (!this.#over) this.#finish(chunks.end() ?? (this.answer.finish ? undefined : broken()));
    };
    const events = new EventReader((data) => {
      if (this.#over) return;
      this.answer.alive();
      if (data.trim() === '[DONE]') {
        complete();
        return this.#drain(response);
      }
      const failure = chunks.take(data);
      if (failure) this.#giveUp(failure);
    });
    response.setEncoding('utf8'); // Puts characters together that were cut between two pieces.
    response.on('data', (piece: string) => {
      if (this.#over) return;
      try {
        if (!events.push(piece)) this.#giveUp(nonsense());
      } catch {
        this.#giveUp(broken()); // Whoever listens failed; nothing else would catch it here.
      }
    });
    response.on('end', complete);
    response.on('close', () => this.#finish(broken()));
  }

  #giveUp(failure: ProviderFailure): void {
    this.#finish(failure);
    this.sent.destroy();
  }

  #finish(failure: ProviderFailure | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.signal.removeEventListener('abort', this.#abort);
    this.#end(failure);
  }

  #drain(response: IncomingMessage): void {
    let bytes = 0;
    response.on('data', (piece: string | Buffer) => {
      bytes += piece.length;
      if (bytes > DRAIN_BYTES_MAX) this.sent.destroy();
    });
    const timer = setTimeout(() => this.sent.destroy(), DRAIN_MAX_MS).unref();
    response.once('close', () => clearTimeout(timer));
  }
}
