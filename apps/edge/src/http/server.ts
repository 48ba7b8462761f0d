import type { Socket } from 'node:net';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { metrics } from '@opentelemetry/api';
import { newId } from '@reef/messaging';
import type { Logger } from 'pino';
import { LIMITS } from '../limits.js';
import { INTERNAL, refusalOf, sendRefusal } from './answering.js';
import { observationOf, observe } from './observed.js';
import { NOT_FOUND } from './refusals.js';

const SECURITY_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};
const ONE_YEAR_OF_HTTPS = 'max-age=31536000; includeSubDomains';

/** Nest on Fastify, with errors in our own shapes. */
export class EdgeAdapter extends FastifyAdapter {
  constructor(
    trustedProxies: string,
    private readonly log: Logger,
  ) {
    super({
      bodyLimit: LIMITS.bodyBytes,
      clientErrorHandler: answerBrokenRequest,
      exposeHeadRoutes: false, // A route that is not in the table does not listen.
      forceCloseConnections: 'idle',
      frameworkErrors: (error: FastifyError, request: FastifyRequest, reply: FastifyReply) => {
        describe(request, reply);
        return sendRefusal(request, reply, refusalOf(error));
      },
      genReqId: newId,
      http: { maxHeaderSize: LIMITS.headerBytes },
      keepAliveTimeout: LIMITS.keepAliveMs,
      requestTimeout: LIMITS.requestTimeoutMs,
      routerOptions: { maxParamLength: LIMITS.headerBytes },
      skipMiddie: true,
      trustProxy: trustedProxies,
    });
    const durations = metrics.getMeter('reef').createHistogram('reef.edge.request.duration', {
      unit: 'ms',
      description: 'From the request to the end of its answer',
    });
    const instance = this.getInstance();
    instance.removeAllContentTypeParsers();
    instance.addHook('onRequest', (request, reply, next) => {
      describe(request, reply);
      next();
    });
    instance.addHook('onResponse', (request, reply, next) => {
      observationOf(request).end(reply.raw.statusCode);
      durations.record(reply.elapsedTime, {
        method: request.method,
        route: request.routeOptions.url ?? 'none',
        status: reply.raw.statusCode,
      });
      next();
    });
  }

  override setErrorHandler(): FastifyInstance {
    return this.getInstance().setErrorHandler((error, request, reply) => {
      const refusal = refusalOf(error);
      if (refusal === INTERNAL)
        this.log.error({ err: error, route: request.routeOptions.url, request: request.id }, 'a request failed');
      return sendRefusal(request, reply, refusal);
    });
  }

  override setNotFoundHandler(): FastifyInstance {
    return this.getInstance().setNotFoundHandler((request, reply) => sendRefusal(request, reply, NOT_FOUND));
  }
}

function describe(request: FastifyRequest, reply: FastifyReply): void {
  const { traceresponse } = observe(request);
  reply.headers({ ...SECURITY_HEADERS, 'x-request-id': request.id, traceresponse });
  if (request.protocol === 'https') reply.header('strict-transport-security', ONE_YEAR_OF_HTTPS);
}

/** What is not even HTTP, or has too large a head, never becomes a request: the answer is written by hand. */
function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const [status, title, code] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? [431, 'Request Header Fields Too Large', 'header_too_large']
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? [408, 'Request Timeout', 'malformed_request']
        : [400, 'Bad Request', 'malformed_request'];
  const body = JSON.stringify({ type: `/api/docs#${code}`, title, status, detail: title, code });
  socket.end(
    `HTTP/1.1 ${status} ${title}\r\ncontent-type: application/problem+json\r\ncontent-length: ${body.length}\r\n` +
      `x-request-id: ${newId()}\r\nconnection: close\r\n\r\n${body}`,
  );
}
