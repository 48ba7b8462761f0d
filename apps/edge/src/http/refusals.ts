import {
  type budgets,
  type dispatch,
  type identity,
  type memory,
  type Refusal,
  type telemetry,
  type TransportRefusal,
  type webhooks,
  type workspace,
} from '@reef/contracts';

type Contracts =
  | typeof budgets
  | typeof dispatch
  | typeof identity
  | typeof memory
  | typeof telemetry
  | typeof webhooks
  | typeof workspace;
type RequestsOf<C> = C extends { commands: infer Commands; queries: infer Queries }
  ? Commands[keyof Commands] | Queries[keyof Queries]
  : never;
// A message without refusals of its own has a list of any string, which says nothing.
type RefusalsOf<Message> = Message extends { refusals: readonly (infer Code)[] }
  ? string extends Code
    ? never
    : Code
  : never;
/** Why an engine gave a turn up; they arrive in a turn's last frame. */
type TurnFailure =
  | 'interrupted'
  | 'provider_error'
  | 'provider_nonsense'
  | 'provider_rate_limited'
  | 'provider_stream_broken'
  | 'too_many_model_calls';
type ServiceRefusal = Extract<RefusalsOf<RequestsOf<Contracts>>, string>;

/** What the edge itself refuses. */
type EdgeRefusal =
  | 'not_found'
  | 'tenant_suspended'
  | 'cross_site'
  | 'malformed_request'
  | 'malformed_json'
  | 'unsupported_media_type'
  | 'header_too_large'
  | 'idempotency_key_refused'
  | 'still_running'
  | 'unknown_parameter'
  | 'unsupported_parameter'
  | 'invalid_parameter'
  | 'tenant_ambiguous'
  | 'turn_cancelled'
  | 'turn_failed'
  | 'stream_broken';

export type Code = ServiceRefusal | TurnFailure | TransportRefusal | EdgeRefusal;

/** One line for every "no" that the contracts list: a new refusal code does not compile until it has its status here. */
const STATUS = {
  invalid_input: 400,
  unauthenticated: 401,
  forbidden: 403,
  deadline_exceeded: 504,
  unavailable: 503,
  overloaded: 429,
  conflict: 409,
  command_id_reused: 422,
  internal: 500,

  email_taken: 409,
  tenant_taken: 409,
  tenant_reserved: 409,
  bad_credentials: 401,
  locked: 429,
  expiry_in_the_past: 400,
  too_many_keys: 409,
  key_not_found: 404,
  tenant_not_found: 404,
  credential_unknown: 401,
  user_not_found: 404,

  cap_negative: 400,
  cap_absurd: 400,
  limit_repeated: 400,
  scope_id_missing: 400,
  limit_unending: 400,
  time_zone_unknown: 400,
  plan_unknown: 404,
  plan_repeated: 400,
  top_ups_misplaced: 400,
  amount_not_positive: 400,
  top_up_useless: 409,
  top_up_reused: 409,
  budget_exhausted: 402,
  rate_limited: 429,
  paced: 429,
  call_too_large: 413,
  unpriced_model: 400,
  reservation_reused: 409,
  reservation_unknown: 404,
  already_settled: 409,
  price_negative: 400,
  price_absurd: 400,
  valid_from_refused: 400,
  price_book_full: 409,
  model_repeated: 400,

  url_refused: 400,
  webhook_taken: 409,
  too_many_webhooks: 409,
  webhook_not_found: 404,

  agent_taken: 409,
  agent_not_found: 404,
  agent_is_default: 409,
  model_unknown: 400,
  session_queue_full: 429,
  session_reserved: 400,
  session_not_found: 404,
  turn_reused: 422,
  turn_not_found: 404,

  path_refused: 400,
  file_not_found: 404,
  not_a_file: 409,
  agent_unknown: 404,
  quota_exceeded: 413,
  too_large: 413,
  upload_unknown: 409,
  piece_out_of_order: 409,
  too_many_uploads: 429,
  archive_refused: 400,
  tool_unknown: 404,

  too_many_memories: 409,
  memory_not_found: 404,

  interrupted: 502,
  provider_error: 502,
  provider_nonsense: 502,
  provider_rate_limited: 429,
  provider_stream_broken: 502,
  too_many_model_calls: 502,

  not_found: 404,
  tenant_suspended: 403,
  cross_site: 403,
  malformed_request: 400,
  malformed_json: 400,
  unsupported_media_type: 415,
  header_too_large: 431,
  idempotency_key_refused: 400,
  still_running: 409,
  unknown_parameter: 400,
  unsupported_parameter: 400,
  invalid_parameter: 400,
  tenant_ambiguous: 400,
  turn_cancelled: 409,
  turn_failed: 502,
  stream_broken: 502,
} as const satisfies Record<Code, number>;

export const REFUSAL_CODES: readonly string[] = Object.keys(STATUS);

/** The HTTP status of a refusal; a code nobody declared is a bug on our side. */
export const statusOf = (code: string): number => (STATUS as Record<string, number>)[code] ?? 500;

export const refused = (code: Code, message: string, details?: Readonly<Record<string, unknown>>): Refusal => ({
  ok: false,
  code,
  message,
  ...(details && { details }),
});

/** Missing, another tenant's, or unspeakable: one answer for all three, so that nobody learns which. */
export const NOT_FOUND = refused('not_found', 'there is no such thing here');

/** A "no" that comes up where only a throw can carry it, such as in a body parser. */
export class Refused extends Error {
  constructor(readonly refusal: Refusal) {
    super(refusal.message);
  }
}

const RETRY_AFTER_MS = 1_000;

/** Headers that tell a client whether and when to come again. */
export function retryHeaders({ code, details }: Refusal): Record<string, string> {
  const status = statusOf(code);
  if (status === 401) return { 'www-authenticate': 'Bearer' };
  if (status !== 429 && status !== 503) return status === 402 ? { 'x-should-retry': 'false' } : {};
  const asked = details?.['retryAfterMs'];
  const retryAfterMs = typeof asked === 'number' && asked > 0 ? Math.ceil(asked) : RETRY_AFTER_MS;
  return { 'retry-after': String(Math.ceil(retryAfterMs / 1_000)), 'retry-after-ms': String(retryAfterMs) };
}
