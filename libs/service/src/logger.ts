import type { LoggerService } from '@nestjs/common';
import { currentTraceId, logContext } from '@reef/messaging';
import { pino, type Logger } from 'pino';

/** JSON lines on standard output, each with the ids of the work it belongs to. */
export function createLogger(service: string): Logger {
  return pino({
    level: process.env['LOG_LEVEL'] ?? 'info',
    base: { service },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    mixin: () => {
      const traceId = currentTraceId();
      return { ...logContext.getStore(), ...(traceId && { traceId }) };
    },
    // Errors of providers and databases carry requests and rows; only what says where the bug is gets out.
    serializers: { err: describeError },
  });
}

/** An error without its properties: they may hold prompts, rows or credentials. */
export function describeError(error: unknown): object {
  if (!(error instanceof Error)) return { type: typeof error };
  const code = (error as { code?: unknown }).code;
  return {
    type: error.name,
    ...(typeof code === 'string' && { code }),
    message: error.message.slice(0, 500),
    stack: error.stack?.split('\n').slice(1, 12).join('\n'),
  };
}

/** Nest's own lines go the same way; it says at info what is debug to us. */
export function nestLogger(logger: Logger): LoggerService {
  const write =
    (level: 'debug' | 'warn' | 'error' | 'fatal') =>
    (message: unknown, ...rest: unknown[]) => {
      const context = typeof rest.at(-1) === 'string' ? (rest.at(-1) as string) : undefined;
      if (message instanceof Error) logger[level]({ err: message, context }, 'nest');
      else logger[level]({ context }, String(message));
    };
  return {
    log: write('debug'),
    error: write('error'),
    warn: write('warn'),
    debug: write('debug'),
    verbose: write('debug'),
    fatal: write('fatal'),
  };
}
