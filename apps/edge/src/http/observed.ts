import { type Context, context, isSpanContextValid, type Span, SpanKind, trace } from '@opentelemetry/api';
import { traceFrom } from '@reef/messaging';
import type { FastifyRequest } from 'fastify';

const tracer = trace.getTracer('reef');

/** A request's place in a trace. */
export interface Observed {
  readonly traceId: string;
  /** W3C Trace Context's response header. */
  readonly traceresponse: string;
  /** Runs work so that what it sends belongs to this request's span. */
  within<T>(work: () => T): T;
  end(statusCode: number): void;
}

const observed = new WeakMap<FastifyRequest['raw'], Observed>();

/** Opens the request's span. Of what a client sends about traces only `traceparent` is taken: baggage and state stay outside. */
export function observe(request: FastifyRequest): Observed {
  const parent = traceFrom(header(request, 'traceparent'));
  const span = tracer.startSpan(
    `${request.method} ${request.routeOptions.url ?? 'unknown route'}`,
    { kind: SpanKind.SERVER, attributes: { 'http.request.method': request.method } },
    parent,
  );
  const entry = observedBy(span, trace.setSpan(parent, span), request.id.replaceAll('-', ''));
  observed.set(request.raw, entry);
  return entry;
}

export function observationOf(request: FastifyRequest): Observed {
  return observed.get(request.raw) ?? observe(request);
}

function observedBy(span: Span, active: Context, requestId: string): Observed {
  const known = span.spanContext();
  const [traceId, spanId] = isSpanContextValid(known)
    ? [known.traceId, known.spanId]
    : [requestId, requestId.slice(16)]; // Nothing is traced here, yet a client may quote an id.
  return {
    traceId,
    traceresponse: `00-${traceId}-${spanId}-${(known.traceFlags & 1).toString().padStart(2, '0')}`,
    within: (work) => context.with(active, work),
    end: (statusCode) => {
      span.setAttribute('http.response.status_code', statusCode);
      span.end();
    },
  };
}

function header(request: FastifyRequest, name: string): string | null {
  const value = request.headers[name];
  return typeof value === 'string' ? value : null;
}
