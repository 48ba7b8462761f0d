import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { z } from 'zod';
import type { Completion, StreamChunks } from './completion.js';
import { completionOf, streamChunks, usageOf, wholeAnswer } from './completion.js';
import type { SimulatorConfig } from './config.js';
import { personaReply } from './persona.js';
import type { CompletionRequest } from './request.js';
import { completionRequest, sinceLastUser } from './request.js';
import type { Step } from './script.js';
import { ServedCalls } from './served.js';
import { stepOf } from './script.js';

const bodyBytesMax = 20 * 1024 * 1024;
const rememberedAttemptsMax = 10_000;
const paceTickMs = 5;
const models = ['sim-echo', 'sim-script'] as const;

/** What was really served, to be compared with a ledger. */
export interface SimulatorStats {
  /** Completion requests received, whatever became of them. */
  requests: number;
  /** Of them, those answered with an error. */
  refused: number;
  promptTokens: number;
  completionTokens: number;
  /** Of them, those whose client left before the end. */
  aborted: number;
}

export interface Simulator {
  server: Server;
  stats: SimulatorStats;
  /** From now on /readyz says no and no connection is taken; resolves when the requests that are running have ended. */
  drain(): Promise<void>;
}

/** An OpenAI-compatible model provider that invents its answers; see `Step` for what a script can make it do. */
export function createSimulator(config: SimulatorConfig): Simulator {
  const stats: SimulatorStats = { requests: 0, refused: 0, promptTokens: 0, completionTokens: 0, aborted: 0 };
  const attempts = new Map<string, number>();
  const servedCalls = new ServedCalls();
  let draining = false;
  let inFlight = 0;
  let drained = () => {};

  const server = createServer((request, response) => {
    response.setHeader('x-simulation', 'true');
    inFlight += 1;
    response.once('close', () => {
      inFlight -= 1;
      if (draining && inFlight === 0) drained();
    });
    handle(request, response).catch(() => {
      // A client that breaks off its body ends here, and there is nobody left to answer.
      response.destroy();
    });
  });
  // Longer than the clients' pools keep a socket, so that no request meets a closing connection.
  server.keepAliveTimeout = 65_000;

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').split('?', 1)[0];
    const route = `${request.method} ${path}`;
    if (route === 'GET /healthz') return sendJson(response, 200, { status: 'ok' });
    if (route === 'GET /readyz')
      return sendJson(response, draining ? 503 : 200, { status: draining ? 'draining' : 'ok' });
    if (route === 'GET /stats') return sendJson(response, 200, stats);
    if (route === 'GET /served') return sendJson(response, 200, { calls: servedCalls.all() });
    if (!authorised(request, config.apiKey)) {
      return sendError(response, 401, 'Incorrect API key provided.', 'invalid_request_error', 'invalid_api_key');
    }
    if (route === 'GET /v1/models') {
      const data = models.map((id) => ({ id, object: 'model', created: 0, owned_by: 'simulation' }));
      return sendJson(response, 200, { object: 'list', data });
    }
    if (route === 'POST /v1/chat/completions') return complete(request, response);
    return sendError(response, 404, `There is no ${route} in this simulation.`, 'invalid_request_error', 'unknown_url');
  }

  async function complete(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    stats.requests += 1;
    const number = stats.requests;
    const refuse = (status: number, message: string, code: string | null) => {
      stats.refused += 1;
      sendError(response, status, message, status < 500 ? 'invalid_request_error' : 'server_error', code);
    };
    const body = await readBody(incoming);
    if (body === undefined) return refuse(413, `The body is larger than ${bodyBytesMax} bytes.`, 'request_too_large');
    const parsed = completionRequest.safeParse(jsonOf(body));
    if (!parsed.success) return refuse(400, `The request is malformed: ${z.prettifyError(parsed.error)}`, null);
    const request = parsed.data;

    if (config.failEvery > 0 && number % config.failEvery === 0) {
      return refuse(500, 'The simulation was told to fail now and then.', null);
    }
    const step = answerTo(request);
    if (step === undefined) {
      return refuse(
        400,
        `The model \`${request.model.slice(0, 100)}\` does not exist in this simulation.`,
        'model_not_found',
      );
    }
    if (typeof step === 'string') return refuse(400, step, 'script_invalid');
    if (step.error && stillFails(step.error.attempts, request)) {
      stats.refused += 1;
      return sendScriptedError(response, step.error, step.rateLimitHeaders);
    }
    for (const [name, value] of Object.entries(rateLimitHeaders(step.rateLimitHeaders)))
      response.setHeader(name, value);
    if (step.nonsense) return sendNonsense(response, request.stream === true);

    const completion = completionOf(request, step, Math.floor(Date.now() / 1_000));
    const usage = step.usage === null ? undefined : (step.usage ?? usageOf(completion));
    const served = tokensServed(completion, usage);
    const firstTokenMs = step.delayMs ?? config.latencyMs;
    const tokensPerSecond = step.tokensPerSecond ?? config.tokensPerSecond;
    stats.promptTokens += served.promptTokens;
    const note = servedCalls.begin(step.label, served.promptTokens);

    if (request.stream === true) {
      const chunks = streamChunks(completion, usage, request.stream_options?.include_usage === true);
      stream(response, chunks, { firstTokenMs, tokensPerSecond, step }, (tokens, ended) => {
        const completionTokens = ended === 'finished' ? served.completionTokens : tokens;
        stats.completionTokens += completionTokens;
        note({ completionTokens, end: ended });
        if (ended === 'aborted') stats.aborted += 1;
      });
      return;
    }
    const paceMs = tokensPerSecond > 0 ? (completion.completionTokens / tokensPerSecond) * 1_000 : 0;
    const timer = setTimeout(
      () => {
        stats.completionTokens += served.completionTokens;
        note({
          completionTokens: served.completionTokens,
          end: step.dropAfterChunks === undefined ? 'finished' : 'dropped',
        });
        if (step.dropAfterChunks !== undefined) return void response.destroy();
        sendText(response, 200, 'application/json', wholeAnswer(completion, usage));
      },
      firstTokenMs + paceMs + (step.hangMs ?? 0),
    );
    response.once('close', () => {
      clearTimeout(timer);
      if (response.writableFinished || step.dropAfterChunks !== undefined) return;
      stats.aborted += 1;
      note({ end: 'aborted' });
    });
  }

  function answerTo(request: CompletionRequest): Step | string | undefined {
    switch (request.model) {
      case 'sim-echo':
        return personaReply(request);
      case 'sim-script': {
        const { user, rounds } = sinceLastUser(request.messages);
        return stepOf(user, rounds.filter((each) => each.role === 'tool').length);
      }
      default:
        return undefined;
    }
  }

  /** A retry repeats its request word for word, so the user message is what tells first attempts from later ones. */
  function stillFails(attemptsMax: number | undefined, request: CompletionRequest): boolean {
    if (attemptsMax === undefined) return true;
    const { user, rounds } = sinceLastUser(request.messages);
    const key = createHash('sha256').update(`${rounds.length}:${user}`).digest('base64');
    const before = attempts.get(key) ?? 0;
    attempts.delete(key);
    attempts.set(key, before + 1);
    if (attempts.size > rememberedAttemptsMax) {
      const oldest = attempts.keys().next();
      if (!oldest.done) attempts.delete(oldest.value);
    }
    return before < attemptsMax;
  }

  return {
    server,
    stats,
    drain: () => {
      draining = true;
      server.close();
      return inFlight === 0 ? Promise.resolve() : new Promise((resolve) => (drained = resolve));
    },
  };
}

interface Pace {
  firstTokenMs: number;
  tokensPerSecond: number;
  step: Step;
}

type StreamEnd = 'finished' | 'dropped' | 'aborted';

/**
 * Writes a stream at its pace and calls `ended` once, with the tokens that were written. What is due together is written
 * together. A reply is at most 131,072 tokens, so what a slow reader can make us keep is bounded.
 */
function stream(
  response: ServerResponse,
  chunks: StreamChunks,
  { firstTokenMs, tokensPerSecond, step }: Pace,
  ended: (tokens: number, how: StreamEnd) => void,
): void {
  const { content } = chunks;
  const drops = step.dropAfterChunks !== undefined && step.dropAfterChunks < content.length + 1;
  const chunksMax = drops ? (step.dropAfterChunks ?? 0) : content.length;
  let next = 0;
  let tokens = 0;
  let over = false;
  let hangMs = step.hangMs ?? 0;
  let paceStartMs = 0;
  let paceTokens = 0;
  let timer: NodeJS.Timeout | undefined;

  const end = (how: StreamEnd) => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    ended(tokens, how);
  };
  response.once('close', () => end('aborted'));
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });

  const tick = (before: string) => {
    let due = before;
    const elapsedSeconds = (performance.now() - paceStartMs) / 1_000;
    while (next < chunksMax && (tokensPerSecond === 0 || paceTokens <= elapsedSeconds * tokensPerSecond)) {
      const chunk = content[next];
      if (chunk === undefined) break;
      due += chunk.data;
      tokens += chunk.tokens;
      paceTokens += chunk.tokens;
      next += 1;
      if (hangMs > 0) break;
    }
    if (hangMs > 0) {
      const silenceMs = hangMs;
      hangMs = 0;
      response.write(due);
      timer = setTimeout(() => startPace(''), silenceMs);
    } else if (next < chunksMax) {
      if (due !== '') response.write(due);
      const waitMs = (paceTokens / tokensPerSecond) * 1_000 - (performance.now() - paceStartMs);
      timer = setTimeout(tick, Math.max(waitMs, paceTickMs), '');
    } else if (drops) {
      response.write(due, () => response.destroy());
      end('dropped');
    } else {
      response.once('finish', () => end('finished'));
      response.end(due + chunks.closing);
    }
  };
  const startPace = (before: string) => {
    paceStartMs = performance.now();
    paceTokens = 0;
    tick(before);
  };
  if (firstTokenMs > 0) {
    // The headers go out at once, as a real provider's do while the model still thinks.
    response.flushHeaders();
    timer = setTimeout(startPace, firstTokenMs, chunks.opening);
  } else {
    startPace(chunks.opening);
  }
}

/** A scripted usage is what the ledger will see, so it is what counts as served. */
function tokensServed(completion: Completion, usage: Record<string, unknown> | undefined) {
  const prompt = usage?.['prompt_tokens'];
  const output = usage?.['completion_tokens'];
  return {
    promptTokens: typeof prompt === 'number' ? prompt : completion.promptTokens,
    completionTokens: typeof output === 'number' ? output : completion.completionTokens,
  };
}

function sendScriptedError(
  response: ServerResponse,
  error: NonNullable<Step['error']>,
  limits: Step['rateLimitHeaders'],
): void {
  const retryAfterMs = error.retryAfterMs ?? (error.status === 429 ? 1_000 : undefined);
  if (retryAfterMs !== undefined) {
    response.setHeader('retry-after', String(Math.ceil(retryAfterMs / 1_000)));
    response.setHeader('retry-after-ms', String(retryAfterMs));
  }
  const headers = rateLimitHeaders(limits ?? error.status === 429);
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (error.body !== undefined) return sendJson(response, error.status, error.body);
  if (error.status === 429) {
    return sendError(response, 429, 'Rate limit reached in this simulation.', 'requests', 'rate_limit_exceeded');
  }
  const type = error.status < 500 ? 'invalid_request_error' : 'server_error';
  sendError(response, error.status, 'The script asked for this error.', type, null);
}

function rateLimitHeaders(wanted: Step['rateLimitHeaders']): Record<string, string> {
  if (wanted === undefined || wanted === false) return {};
  if (wanted !== true) return wanted;
  return {
    'x-ratelimit-limit-requests': '1000',
    'x-ratelimit-limit-tokens': '1000000',
    'x-ratelimit-remaining-requests': '0',
    'x-ratelimit-remaining-tokens': '0',
    'x-ratelimit-reset-requests': '1s',
    'x-ratelimit-reset-tokens': '1s',
  };
}

function sendNonsense(response: ServerResponse, streamed: boolean): void {
  if (streamed) sendText(response, 200, 'text/event-stream; charset=utf-8', 'data: {"choices": <<<not json\n\n');
  else sendText(response, 200, 'application/json', '{"choices": <<<not json');
}

/** The whole body, or undefined when it is larger than the limit (and then the connection cannot be used again). */
async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  if (Number(request.headers['content-length'] ?? 0) > bodyBytesMax) return undefined;
  const parts: Buffer[] = [];
  let bytes = 0;
  // Leaving the loop must not destroy the socket: the refusal still has to go out on it.
  for await (const part of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > bodyBytesMax) return undefined;
    parts.push(part);
  }
  return parts.length === 1 ? parts[0] : Buffer.concat(parts);
}

function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined;
  }
}

function authorised(request: IncomingMessage, expected: string | undefined): boolean {
  if (expected === undefined) return true;
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(request.headers.authorization ?? ''), digest(`Bearer ${expected}`));
}

function sendError(response: ServerResponse, status: number, message: string, type: string, code: string | null): void {
  if (status === 413) response.setHeader('connection', 'close');
  sendJson(response, status, { error: { message, type, param: null, code } });
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  sendText(response, status, 'application/json', JSON.stringify(value));
}

function sendText(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) });
  response.end(text);
}
