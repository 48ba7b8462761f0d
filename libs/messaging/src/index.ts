export { connectNats } from './connection.js';
export { crashAt } from './crash-points.js';
export { CONTEXT_TTL_S, ContextSigner, type ContextToSign, ContextVerifier } from './context-token.js';
export { Command, type Delivered, OnEvent, Query } from './decorators.js';
export {
  type BatchConsumerOptions,
  consumeBatches,
  delivered,
  type EventConsumer,
  type FeedEvent,
} from './event-consumer.js';
export { ensureFeed, EVENTS_STREAM, isMissing } from './event-feed.js';
export { newId } from './ids.js';
export { Later } from './later.js';
export { logContext } from './log-context.js';
export { fieldErrors, NatsServer, type NatsServerOptions } from './nats-server.js';
export { Replies } from './replies.js';
export { type OnBehalfOf, REQUEST_TIMEOUT_MS, type RequestOptions, Requests } from './requests.js';
export {
  currentTraceId,
  currentTraceparent,
  extractTrace,
  injectTrace,
  inSpan,
  SpanKind,
  traceFrom,
} from './tracing.js';
export { hasCodec, HEADER, PAYLOAD_BYTES_MAX, toJson } from './wire.js';
