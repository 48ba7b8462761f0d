import type { Ask } from './http.js';
import type { Stack } from './stack.js';

export interface Operation {
  readonly method: string;
  /** With its parameters in braces. */
  readonly path: string;
  readonly plane: 'public' | 'account' | 'tenant' | 'agents' | 'platform';
  readonly role?: 'viewer' | 'member' | 'admin';
  readonly inPath: readonly string[];
  readonly inQuery: readonly string[];
  readonly body: 'json' | 'bytes' | null;
}

interface Document {
  paths: Record<
    string,
    Record<
      string,
      {
        'x-access': { plane: Operation['plane']; role?: Operation['role'] };
        parameters?: { name: string; in: string }[];
        requestBody?: { content: Record<string, unknown> };
      }
    >
  >;
}

/** Every operation that the running edge documents. */
export async function operationsOf(stack: Stack): Promise<Operation[]> {
  const { paths } = (await stack.ask('GET', '/api/openapi.json')).json as Document;
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { 'x-access': access, parameters = [], requestBody }]) => ({
      method: method.toUpperCase(),
      path,
      ...access,
      inPath: parameters.filter((one) => one.in === 'path').map(({ name }) => name),
      inQuery: parameters.filter((one) => one.in === 'query').map(({ name }) => name),
      body: requestBody ? ('application/json' in requestBody.content ? ('json' as const) : ('bytes' as const)) : null,
    })),
  );
}

export const nameOf = ({ method, path }: Pick<Operation, 'method' | 'path'>): string => `${method} ${path}`;

const day = new Date().toISOString().slice(0, 10);
const price = {
  model: 'simulator/sim-echo',
  inputUsdPerMillion: '1',
  cacheReadUsdPerMillion: '1',
  cacheWriteUsdPerMillion: '1',
  outputUsdPerMillion: '1',
};

const plan = {
  plan: 'made-by-a-probe',
  name: 'Probe',
  priceUsd: '1',
  markupBasisPoints: 0,
  limits: [],
  rates: { requestsPerMinute: null, tokensPerMinute: null, concurrentTurns: null },
  weight: 1,
  paceOverSeconds: 0,
};

/** A body that fits, for every operation that takes JSON: a new one has to be added here before the journeys pass. */
const bodies: Readonly<Record<string, unknown>> = {
  'POST /v1/chat/completions': { model: 'openclaw', messages: [{ role: 'user', content: 'Hello' }] },
  'POST /v1/responses': { model: 'openclaw', input: 'Hello' },
  'POST /api/signup': { email: 'new@example.com', password: 'correct horse', tenant: 'new-tenant' },
  'POST /api/login': { email: 'new@example.com', password: 'correct horse' },
  'POST /api/tenants/{tenant}/agents': { agent: 'made-by-a-probe' },
  'PATCH /api/tenants/{tenant}/agents/{agent}': { name: 'Renamed by a probe' },
  'POST /api/tenants/{tenant}/memories': { agent: 'main', text: 'Put there by a probe' },
  'POST /api/tenants/{tenant}/memories/recall': { agent: 'main', text: 'pearl' },
  'PUT /api/tenants/{tenant}/limits': { limits: [] },
  'PUT /api/tenants/{tenant}/time-zone': { timeZone: 'Europe/Berlin' },
  'POST /api/tenants/{tenant}/webhooks': { url: 'https://probe.example/' },
  'POST /api/tenants/{tenant}/keys': { name: 'made by a probe' },
  'POST /api/platform/tenants/{tenant}/suspend': { reason: 'a probe' },
  'PUT /api/platform/prices': { prices: [price] },
  'PUT /api/platform/plans': { plans: [plan] },
  'PUT /api/platform/tenants/{tenant}/plan': { plan: 'starter' },
  'POST /api/platform/tenants/{tenant}/top-ups': { unit: 'usd', amount: '1' },
};
/** Queries that an operation cannot do without. */
const queries: Readonly<Record<string, string>> = {
  'GET /api/tenants/{tenant}/as-of': `at=${day}T00:00:00.000Z`,
  'GET /api/tenants/{tenant}/invoice': `month=${day.slice(0, 7)}`,
};

/** The operation as a request, its parameters filled in; throws where nobody has said what it takes. */
export function requestFor(
  operation: Operation,
  values: Readonly<Record<string, string>>,
): { method: string; path: string; more: Ask } {
  const path = operation.path.replace(/\{(\w+)\}/g, (_all, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`${nameOf(operation)}: no value is known for {${name}}`);
    return name === 'path' ? value : encodeURIComponent(value);
  });
  const given = operation.inQuery.flatMap((name) =>
    values[`?${name}`] === undefined ? [] : [`${name}=${encodeURIComponent(values[`?${name}`]!)}`],
  );
  const query = [queries[nameOf(operation)], ...given].filter((part) => part !== undefined).join('&');
  const json = bodies[nameOf(operation)];
  if (operation.body === 'json' && json === undefined) throw new Error(`${nameOf(operation)}: no body is known`);
  const more: Ask =
    operation.body === 'json' ? { json } : operation.body === 'bytes' ? { body: 'bytes of a probe' } : {};
  return { method: operation.method, path: query ? `${path}?${query}` : path, more };
}
