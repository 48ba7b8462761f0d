import { openApi } from './openapi.js';
import { escapeHtml, page, type Page } from './page.js';
import { REFUSAL_CODES, statusOf } from './refusals.js';
import type { Route } from './route.js';

interface Operation {
  summary: string;
  tags: string[];
  'x-access': { plane: string; role?: string };
  parameters?: { name: string; in: string; required: boolean; schema: object }[];
  requestBody?: { content: Record<string, { schema: object }> };
  responses: Record<string, { content?: Record<string, { schema: object }> }>;
}

const STYLE = `
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
code,pre{font:13px/1.45 ui-monospace,monospace}summary{cursor:pointer;padding:.35rem 0}
details{border-bottom:1px solid #8884}pre{overflow:auto;background:#8881;padding:.75rem;border-radius:.4rem;max-height:28rem}
.method{display:inline-block;min-width:4rem;font-weight:600}.role{color:#888;float:right}table{border-collapse:collapse}
td,th{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top}`;

/** The reference for people, from the same table that listens. */
export function docsPage(routes: readonly Route[]): Page {
  const { paths } = openApi(routes) as { paths: Record<string, Record<string, Operation>> };
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  const tags = [...new Set(operations.flatMap(({ operation }) => operation.tags))];
  const sections = tags.map((tag) => {
    const own = operations.filter(({ operation }) => operation.tags.includes(tag));
    return `<h2 id="${escapeHtml(tag)}">${escapeHtml(tag)}</h2>${own.map(section).join('')}`;
  });
  const refusals = REFUSAL_CODES.map(
    (code) => `<tr id="${code}"><td>${statusOf(code)}</td><td><code>${code}</code></td></tr>`,
  );
  return page({
    title: 'Reef API',
    style: STYLE,
    body: `<h1>Reef API</h1>
<p>Send <code>Authorization: Bearer &lt;API key&gt;</code>. Money is a decimal string of USD with at most twelve decimals, times are
RFC 3339 in UTC, lists take <code>?limit=&amp;cursor=</code>. A POST with an <code>Idempotency-Key</code> is executed once.
Machines read <a href="/api/openapi.json">OpenAPI 3.1</a>.</p>
${sections.join('')}
<h2 id="refusals">Refusals</h2><p>Errors under <code>/api</code> are RFC 9457 problems, under <code>/v1</code> OpenAI's envelope; both carry a code.</p>
<table><tr><th>Status</th><th>Code</th></tr>${refusals.join('')}</table>`,
  });
}

function section({ path, method, operation }: { path: string; method: string; operation: Operation }): string {
  const { plane, role } = operation['x-access'];
  const parameters = (operation.parameters ?? []).map(
    ({ name, in: place, required, schema }) =>
      `<tr><td><code>${escapeHtml(name)}</code></td><td>${place}${required ? ', required' : ''}</td><td><code>${escapeHtml(JSON.stringify(schema))}</code></td></tr>`,
  );
  const [status = '200'] = Object.keys(operation.responses);
  return `<details><summary><span class="method">${method}</span> <code>${escapeHtml(path)}</code> <span class="role">${role ?? plane}</span>
<br>${escapeHtml(operation.summary)}</summary>
${parameters.length > 0 ? `<table>${parameters.join('')}</table>` : ''}
${schemas('Body', operation.requestBody?.content)}${schemas(`Answers ${status}`, operation.responses[status]?.content)}</details>`;
}

const schemas = (title: string, content: Record<string, { schema: object }> | undefined): string =>
  Object.entries(content ?? {})
    .map(
      ([media, { schema }]) =>
        `<p>${title}: <code>${media}</code></p><pre>${escapeHtml(JSON.stringify(schema, null, 1))}</pre>`,
    )
    .join('');
