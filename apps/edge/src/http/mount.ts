import { fieldErrors, newId } from '@reef/messaging';
import type { Refusal, Result } from '@reef/contracts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Caller, admit, VISITOR } from '../auth/caller.js';
import { credentialOf, isCrossSite } from '../auth/credential.js';
import type { Edge } from '../edge.js';
import { idFrom } from '../ids.js';
import { LIMITS } from '../limits.js';
import { sendRefusal } from './answering.js';
import { observationOf } from './observed.js';
import { NOT_FOUND, refused, Refused } from './refusals.js';
import { BYTES, type Call, type Route, SENT } from './route.js';

const STRANGER = refused('unauthenticated', 'an API key or a session is needed');
const CROSS_SITE = refused('cross_site', 'another site made this request with your session');
const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,200}$/;

const callers = new WeakMap<FastifyRequest['raw'], Caller>();

/** Makes the listening routes of the table. Routes that take bytes get a context of their own, where no parser touches the body. */
export function mount(instance: FastifyInstance, routes: readonly Route[], edge: Edge): void {
  instance.addContentTypeParser('application/json', { parseAs: 'string' }, parseJson);
  for (const declared of routes.filter(({ body }) => body !== BYTES)) listen(instance, declared, edge);
  void instance.register((bytes, _options, done) => {
    bytes.removeAllContentTypeParsers();
    bytes.addContentTypeParser('*', (_request, _payload, parsed) => parsed(null, undefined));
    for (const declared of routes.filter(({ body }) => body === BYTES)) listen(bytes, declared, edge);
    done();
  });
}

export const fastifyPath = (path: string): string => path.replace(/\{(\w+)\*\}/, '*').replace(/\{(\w+)\}/g, ':$1');

function listen(instance: FastifyInstance, declared: Route, edge: Edge): void {
  const wildcard = /\{(\w+)\*\}/.exec(declared.path)?.[1];
  instance.route({
    method: declared.method,
    url: fastifyPath(declared.path),
    bodyLimit: declared.bodyBytesMax ?? LIMITS.bodyBytes,
    // Before the body is read: a stranger cannot make us take in megabytes.
    onRequest: async (request, reply) => {
      const caller = await observationOf(request).within(() => authenticate(declared, request, edge));
      if (!caller.ok) return sendRefusal(request, reply, caller);
      callers.set(request.raw, caller.value);
      return undefined;
    },
    handler: (request, reply) =>
      observationOf(request).within(async () => {
        const call = readCall(declared, wildcard, request, reply, edge);
        const result = call.ok ? await declared.handle(call.value) : call;
        if (result === SENT) return reply;
        return result.ok ? send(declared, reply, result.value) : sendRefusal(request, reply, result);
      }),
  });
}

function send(declared: Route, reply: FastifyReply, value: unknown): FastifyReply {
  reply.code(declared.answer.status);
  if (declared.answer.status === 204) return reply.send();
  return reply.header('content-type', 'application/json; charset=utf-8').send(JSON.stringify(value));
}

async function authenticate(declared: Route, request: FastifyRequest, edge: Edge): Promise<Result<Caller>> {
  if (declared.access.plane === 'public') return { ok: true, value: VISITOR };
  const credential = credentialOf(request);
  if (!credential) return STRANGER;
  if (credential.byCookie && declared.method !== 'GET' && isCrossSite(request)) return CROSS_SITE;
  const known = await edge.authenticator.authenticate(credential.text);
  if (!known.ok) return known;
  return admit(known.value, declared.access, (request.params as { tenant?: string }).tenant);
}

function readCall(
  declared: Route,
  wildcard: string | undefined,
  request: FastifyRequest,
  reply: FastifyReply,
  edge: Edge,
): Result<Call> {
  const { tenant: _checked, '*': rest, ...named } = request.params as Record<string, string>;
  const inPath = declared.access.plane === 'tenant' ? named : (request.params as Record<string, string>);
  const params = declared.params.safeParse(wildcard ? { ...named, [wildcard]: rest } : inPath);
  if (!params.success) return NOT_FOUND; // A name that cannot be is a thing that is not there.

  const query = declared.query.safeParse(request.query);
  if (!query.success) return invalid(declared, query.error, 'the query does not fit');

  let body: unknown;
  if (declared.body !== null && declared.body !== BYTES) {
    const parsed = declared.body.safeParse(request.body);
    if (!parsed.success) return invalid(declared, parsed.error, 'the body does not fit');
    body = parsed.data;
  }
  if (declared.body === null && !isEmptyBody(request.body)) return refused('invalid_input', 'this takes no body');
  const idempotencyKey = declared.method === 'POST' ? (request.headers['idempotency-key'] ?? null) : null;
  if (idempotencyKey !== null && (typeof idempotencyKey !== 'string' || !IDEMPOTENCY_KEY.test(idempotencyKey)))
    return refused(
      'idempotency_key_refused',
      `an Idempotency-Key is 1–${LIMITS.idempotencyKeyChars} printable ASCII characters`,
    );

  const caller = callers.get(request.raw) ?? VISITOR;
  const commandId =
    idempotencyKey === null
      ? newId()
      : // The principal belongs to the key: another one's stored answer may hold what this one must not see.
        idFrom([
          caller.tenant,
          caller.principal.kind,
          caller.principal.id,
          declared.path,
          request.url.split('?')[0] ?? '',
          idempotencyKey,
        ]);
  return {
    ok: true,
    value: {
      edge,
      request,
      reply,
      caller,
      params: params.data,
      query: query.data,
      body,
      requestId: request.id,
      idempotencyKey,
      commandId,
      ask: (message, input, { as, ...options } = {}) =>
        edge.requests.send(message, edge.contexts.of(as ?? caller, request.id), input, { commandId, ...options }),
    },
  };
}

function invalid(
  declared: Route,
  error: { issues: { path: PropertyKey[]; message: string }[] },
  message: string,
): Refusal {
  const errors = fieldErrors(withUnknownFields(error));
  const [first] = errors;
  if (declared.access.plane !== 'agents' || !first) return refused('invalid_input', message, { errors });
  const unknown = error.issues.some(({ path, ...issue }) => path.length === 0 && 'keys' in issue);
  return refused(unknown ? 'unknown_parameter' : 'invalid_parameter', `${first.field || 'body'}: ${first.message}`, {
    param: first.field || null,
  });
}

/** An unknown field is reported under its own name, not under its parent's. */
function withUnknownFields(error: { issues: { path: PropertyKey[]; message: string }[] }) {
  const issues = error.issues.flatMap((issue) =>
    'keys' in issue && Array.isArray(issue.keys)
      ? issue.keys.map((key: string) => ({ path: [...issue.path, key], message: 'unknown field' }))
      : [issue],
  );
  return { issues };
}

/** Clients send `{}` where there is nothing to say. */
const isEmptyBody = (body: unknown): boolean =>
  body === undefined || body === null || (typeof body === 'object' && Object.keys(body).length === 0);

type Parsed = (error: Error | null, body?: unknown) => void;

function parseJson(_request: FastifyRequest, text: string | Buffer, parsed: Parsed): void {
  if (text.length === 0) return parsed(null, undefined);
  try {
    parsed(null, JSON.parse(text.toString()));
  } catch {
    parsed(new Refused(refused('malformed_json', 'the body is not JSON')));
  }
}
