import type { Refusal } from '@reef/contracts';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { observationOf } from './observed.js';
import { openAiErrorOf, problemOf } from './problem.js';
import { type Code, NOT_FOUND, refused, Refused, retryHeaders, statusOf } from './refusals.js';

export const isOpenAi = (request: FastifyRequest): boolean => request.raw.url?.startsWith('/v1/') ?? false;

/** A "no" in the form of the API that was asked: RFC 9457, or OpenAI's envelope. */
export function sendRefusal(request: FastifyRequest, reply: FastifyReply, refusal: Refusal): FastifyReply {
  reply.code(statusOf(refusal.code)).headers(retryHeaders(refusal));
  if (isOpenAi(request)) {
    return reply
      .header('content-type', 'application/json; charset=utf-8')
      .send(JSON.stringify(openAiErrorOf(refusal, statusOf(refusal.code))));
  }
  return reply
    .header('content-type', 'application/problem+json; charset=utf-8')
    .send(JSON.stringify(problemOf(refusal, observationOf(request).traceId)));
}

/** What Fastify refuses before a handler runs, in our words; anything else is a bug, of which a client learns nothing but the trace. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refused) return error.refusal;
  const { code, statusCode = 500 } = (error ?? {}) as Partial<FastifyError>;
  if (code === 'ECONNRESET') return refused('malformed_request', 'the body broke off');
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return refused('too_large', 'the body is too large');
  if (statusCode === 415) return refused('unsupported_media_type', 'send application/json');
  if (statusCode === 404) return NOT_FOUND;
  if (statusCode >= 400 && statusCode < 500) return refused('malformed_request', 'the request is malformed');
  return INTERNAL;
}

export const INTERNAL: Refusal = refused('internal' satisfies Code, 'something went wrong on our side');
