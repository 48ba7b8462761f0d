import { type Context, context, propagation, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type { MsgHdrs } from '@nats-io/transport-node';

const tracer = trace.getTracer('reef');

const headerCarrier = {
  get: (headers: MsgHdrs, key: string) => headers.get(key) || undefined,
  keys: (headers: MsgHdrs) => headers.keys(),
  set: (headers: MsgHdrs, key: string, value: string) => headers.set(key, value),
};

/** Writes the current trace into a message's headers (W3C Trace Context). */
export function injectTrace(headers: MsgHdrs): void {
  propagation.inject(context.active(), headers, headerCarrier);
}

export function extractTrace(headers: MsgHdrs | undefined): Context {
  return headers ? propagation.extract(context.active(), headers, headerCarrier) : context.active();
}

/** The trace context a `traceparent` names, to continue a trace from a stored event. */
export function traceFrom(traceparent: string | null): Context {
  return traceparent ? propagation.extract(context.active(), { traceparent }) : context.active();
}

/** The current trace as a `traceparent`, to be stored with an event; null where nothing is traced. */
export function currentTraceparent(): string | null {
  const carrier: Record<string, string> = {};
  propagation.inject(context.active(), carrier);
  return carrier['traceparent'] ?? null;
}

export function currentTraceId(): string | null {
  return trace.getActiveSpan()?.spanContext().traceId ?? null;
}

/** Runs `work` in a span of its own. What it throws is recorded by name only: messages may hold content. */
export async function inSpan<T>(
  name: string,
  options: { kind: SpanKind; parent?: Context; attributes: Record<string, string | number> },
  work: (span: Span) => Promise<T>,
): Promise<T> {
  return tracer.startActiveSpan(
    name,
    { kind: options.kind, attributes: options.attributes },
    options.parent ?? context.active(),
    async (span) => {
      try {
        return await work(span);
      } catch (error) {
        span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.name : 'Error' });
        throw error;
      } finally {
        span.end();
      }
    },
  );
}

export { SpanKind };
