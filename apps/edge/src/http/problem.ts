import type { Refusal } from '@reef/contracts';
import { z } from 'zod';
import { statusOf } from './refusals.js';

const fieldError = z.object({ field: z.string(), message: z.string() });

/** RFC 9457, with a code to branch on and the trace to ask about. */
export const problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string(),
  traceId: z.string(),
  errors: z.array(fieldError).optional(),
  details: z.record(z.string(), z.unknown()).optional(),
});

export const openAiError = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    code: z.string().nullable(),
    param: z.string().nullable(),
    details: z.record(z.string(), z.unknown()).optional(),
  }),
});

const TITLES: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  402: 'Payment Required',
  403: 'Forbidden',
  404: 'Not Found',
  409: 'Conflict',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
};

export function problemOf(refusal: Refusal, traceId: string): z.output<typeof problem> {
  const status = statusOf(refusal.code);
  const { errors, traceId: _inner, ...details } = refusal.details ?? {};
  const fields = z.array(fieldError).safeParse(errors);
  return {
    type: `/api/docs#${refusal.code}`,
    title: TITLES[status] ?? 'Internal Server Error',
    status,
    detail: refusal.message,
    code: refusal.code,
    traceId,
    ...(fields.success && { errors: fields.data }),
    ...(Object.keys(details).length > 0 && { details: jsonSafe(details) }),
  };
}

export function openAiErrorOf(refusal: Refusal, status = statusOf(refusal.code)): z.output<typeof openAiError> {
  const { param, errors, traceId: _inner, ...details } = refusal.details ?? {};
  const fields = z.array(fieldError).safeParse(errors);
  return {
    error: {
      message: refusal.message,
      type: openAiType(status),
      code: refusal.code,
      param: typeof param === 'string' ? param : fields.success ? (fields.data[0]?.field ?? null) : null,
      ...(Object.keys(details).length > 0 && { details: jsonSafe(details) }),
    },
  };
}

/** OpenAI's own names, which clients branch on. */
function openAiType(status: number): string {
  switch (status) {
    case 401:
      return 'authentication_error';
    case 402:
      return 'insufficient_quota';
    case 403:
      return 'permission_error';
    case 429:
      return 'rate_limit_error';
    default:
      return status >= 500 ? 'server_error' : 'invalid_request_error';
  }
}

/** Amounts in details are bigints where the refusal was made in this process. */
const jsonSafe = (details: Record<string, unknown>): Record<string, unknown> =>
  JSON.parse(JSON.stringify(details, (_key, value: unknown) => (typeof value === 'bigint' ? value.toString() : value)));
