import { z } from 'zod';
import { openAiError, problem } from './problem.js';
import { BYTES, type Route } from './route.js';

type Json = Record<string, unknown>;

const withoutDialect = ({ $schema: _dialect, ...schema }: Json): Json => schema;
const requestSchema = (schema: z.ZodType) => withoutDialect(z.toJSONSchema(schema, { io: 'input' }));
const answerSchema = (schema: z.ZodType) => withoutDialect(z.toJSONSchema(schema, { io: 'output' }));

/** `{path*}` of the table is `{path}` here: OpenAPI has no word for "the rest of the path". */
export const openApiPath = (path: string): string => path.replace('*}', '}');

/** The whole API as OpenAPI 3.1, from the same table that listens. */
export function openApi(routes: readonly Route[]): Json {
  const paths: Record<string, Json> = {};
  for (const declared of routes) {
    const path = (paths[openApiPath(declared.path)] ??= {});
    path[declared.method.toLowerCase()] = operation(declared);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Reef',
      version: '1',
      description:
        'Hosts OpenClaw agents for many tenants. Money is a decimal string of USD, times are RFC 3339 in UTC.',
    },
    paths,
    components: {
      securitySchemes: {
        key: { type: 'http', scheme: 'bearer', description: 'An API key, a platform key, or a session token' },
        session: { type: 'apiKey', in: 'cookie', name: 'reef_session', description: '`__Host-reef_session` on https' },
      },
      schemas: { Problem: answerSchema(problem), OpenAiError: answerSchema(openAiError) },
    },
  };
}

function operation(declared: Route): Json {
  const isOpenAi = declared.path.startsWith('/v1/');
  const [, plane, ...rest] = declared.path.split('/');
  const tag =
    plane === 'v1' ? 'agents' : (rest.find((part) => part !== 'tenants' && !part.startsWith('{')) ?? 'operations');
  const parameters = [...pathParameters(declared), ...queryParameters(declared), ...headerParameters(declared)];
  return {
    operationId: `${declared.method.toLowerCase()}${openApiPath(declared.path).replace(/[^A-Za-z0-9]+(\w?)/g, (_all, letter: string) => letter.toUpperCase())}`,
    summary: declared.summary,
    tags: [tag],
    'x-access': declared.access,
    ...(declared.access.plane !== 'public' && { security: [{ key: [] }, { session: [] }] }),
    ...(parameters.length > 0 && { parameters }),
    ...(declared.body !== null && {
      requestBody: {
        required: true,
        content:
          declared.body === BYTES
            ? { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } }
            : { 'application/json': { schema: requestSchema(declared.body) } },
      },
    }),
    responses: {
      [declared.answer.status]: { description: 'As asked', ...content(declared) },
      default: {
        description: 'Refused: the status says how, the code says why',
        content: isOpenAi
          ? { 'application/json': { schema: { $ref: '#/components/schemas/OpenAiError' } } }
          : { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
  };
}

function content({ answer }: Route): Json {
  const media: Json = {};
  if (answer.body) media['application/json'] = { schema: answerSchema(answer.body) };
  for (const type of answer.media ?? []) media[type] = { schema: { type: 'string' } };
  return Object.keys(media).length > 0 ? { content: media } : {};
}

function pathParameters({ path, params }: Route): Json[] {
  const { properties = {} } = answerSchema(params) as { properties?: Record<string, Json> };
  return [...path.matchAll(/\{(\w+)\*?\}/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    schema: properties[name] ?? { type: 'string' },
  }));
}

function queryParameters({ query }: Route): Json[] {
  // What a query's text becomes describes it better than "text".
  const { properties = {} } = answerSchema(query) as { properties?: Record<string, Json> };
  const { required = [] } = requestSchema(query) as { required?: string[] };
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: 'query',
    required: required.includes(name) && !('default' in schema),
    schema,
  }));
}

const SESSION_KEY = {
  name: 'x-openclaw-session-key',
  in: 'header',
  required: false,
  schema: { type: 'string', minLength: 1, maxLength: 400 },
};

const headerParameters = ({ method, access }: Route): Json[] =>
  method === 'POST'
    ? [
        ...(access.plane === 'agents' ? [SESSION_KEY] : []),
        {
          name: 'Idempotency-Key',
          in: 'header',
          required: false,
          schema: { type: 'string', minLength: 1, maxLength: 200 },
        },
      ]
    : [];
