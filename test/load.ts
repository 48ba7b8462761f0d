import { setTimeout as sleep } from 'node:timers/promises';
import { randomUUID } from 'node:crypto';
import type { Answer } from './http.js';
import type { Tenant } from './stack.js';

/** What somebody was told is done. */
export type Promised =
  | { readonly kind: 'turn'; readonly tenant: Tenant; readonly turn: string; readonly reply: string }
  | { readonly kind: 'file'; readonly tenant: Tenant; readonly path: string; readonly content: string }
  | { readonly kind: 'memory'; readonly tenant: Tenant; readonly memoryId: string; readonly text: string }
  | { readonly kind: 'agent'; readonly tenant: Tenant; readonly agent: string };

export interface Load {
  /** Resolves when every client has its last answer, or has left. */
  stop(): Promise<void>;
}

/** Whether a client goes on, and what ends its last request. */
interface Work {
  stopped: boolean;
  readonly leaving: AbortSignal;
}

/** Everything that clients saw while the load ran. */
export class Seen {
  readonly promised: Promised[] = [];
  /** How often each status came; 0 is a broken connection. */
  readonly statuses: Record<number, number> = {};
  /** Answers that no fault explains. */
  readonly surprising: string[] = [];
  /** Users whose one chat was repeated under its Idempotency-Key until it was answered. */
  readonly repeated: { tenant: Tenant; user: string }[] = [];

  answered(of: string, { status, text }: Pick<Answer, 'status' | 'text'>): void {
    this.statuses[status] = (this.statuses[status] ?? 0) + 1;
    if (!explained.includes(status)) this.surprising.push(`${of}: ${status} ${text.slice(0, 200)}`);
  }
}

/** Success, overload, a turn whose process died, a service that is away; 0 is a connection that broke. */
const explained = [0, 200, 201, 429, 502, 503, 504];
const ACTION_TIMEOUT_MS = 20_000;
/** How long clients wait for their last answers, ms. */
const LAST_ANSWERS_MS = 2_000;
/** Between two requests of one client, ms: after a refusal nobody comes again at once. */
const PAUSE_MS = 20;
const PAUSE_AFTER_FAILURE_MS = 150;
export const SCRIPTED = 'scripted';

/** Clients that chat, hang up, write files and have things remembered, each one thing after the other, until they are stopped. */
export function startLoad(tenants: readonly Tenant[], clients: number, seen: Seen): Load {
  const leave = new AbortController();
  const work: Work = { stopped: false, leaving: leave.signal };
  const client = async (index: number) => {
    for (let n = index; !work.stopped; n += 1) {
      const tenant = tenants[(index * 7 + n) % tenants.length]!;
      const done = await actions[n % actions.length]!(tenant, seen, work).catch(() => false);
      await sleep(done ? PAUSE_MS : PAUSE_AFTER_FAILURE_MS);
    }
  };
  const working = Array.from({ length: clients }, (_none, index) => client(index));
  return {
    async stop() {
      work.stopped = true;
      const timer = setTimeout(() => leave.abort(), LAST_ANSWERS_MS);
      await Promise.all(working);
      clearTimeout(timer);
    },
  };
}

type Action = (tenant: Tenant, seen: Seen, work: Work) => Promise<boolean>;

/** A reply of its own, a few words long, that takes a tenth of a second or two. */
const spoken = () => {
  const text = `The tide says ${randomUUID()}.`;
  return { text, script: JSON.stringify([{ text, delayMs: 40, tokensPerSecond: 150 }]) };
};
export const chatOf = (script: string, more: object = {}) => ({
  model: `openclaw/${SCRIPTED}`,
  messages: [{ role: 'user', content: script }],
  ...more,
});

const chatWhole: Action = async (tenant, seen, work) => {
  const { text, script } = spoken();
  const answer = await asked(seen, work, tenant, 'POST', '/v1/chat/completions', { json: chatOf(script) });
  if (answer.status !== 200) return false;
  const reply = (answer.json as { choices: { message: { content: string } }[] }).choices[0]!.message.content;
  if (reply !== text) seen.surprising.push(`a whole answer is not what the model said: ${reply}`);
  seen.promised.push({ kind: 'turn', tenant, turn: answer.headers.get('x-reef-turn')!, reply });
  return true;
};

const chatStreamed: Action = async (tenant, seen, work) => {
  const { text, script } = spoken();
  const answer = await asked(seen, work, tenant, 'POST', '/v1/chat/completions', {
    json: chatOf(script, { stream: true }),
  });
  if (answer.status !== 200 || !answer.text.trimEnd().endsWith('data: [DONE]')) return false;
  const reply = deltasOf(answer.text);
  if (/"error":/.test(answer.text)) return false;
  if (reply !== text) seen.surprising.push(`a finished stream is not what the model said: ${reply}`);
  seen.promised.push({ kind: 'turn', tenant, turn: answer.headers.get('x-reef-turn')!, reply });
  return true;
};

const hangUp: Action = async (tenant, seen, work) => {
  const script = JSON.stringify([{ tokens: 200, tokensPerSecond: 100 }]);
  const leaving = new AbortController();
  const response = await fetch(tenant.url('/v1/chat/completions'), {
    method: 'POST',
    headers: { authorization: `Bearer ${tenant.apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify(chatOf(script, { stream: true })),
    signal: AbortSignal.any([leaving.signal, work.leaving, AbortSignal.timeout(ACTION_TIMEOUT_MS)]),
  });
  seen.answered('hanging up', { status: response.status, text: '' });
  await response.body?.getReader().read();
  leaving.abort();
  return response.ok;
};

/** The client comes again with its key until it has an answer; whatever happened between, the chat ran once. */
const chatOnce: Action = async (tenant, seen, work) => {
  const user = `once-${randomUUID()}`;
  const { script } = spoken();
  const headers = { 'idempotency-key': randomUUID() };
  seen.repeated.push({ tenant, user });
  while (!work.stopped) {
    const answer = await asked(
      seen,
      work,
      tenant,
      'POST',
      '/v1/chat/completions',
      { json: chatOf(script, { user }), headers },
      [409],
    );
    if (answer.status === 200) return true;
    // The turn ended without an answer: that is an answer, too.
    if (answer.status === 502 && answer.headers.get('x-should-retry') === 'false') return false;
    await sleep(PAUSE_AFTER_FAILURE_MS);
  }
  return false;
};

const writeFile: Action = async (tenant, seen, work) => {
  const path = `main/load/${randomUUID()}.md`;
  const content = `written ${randomUUID()}`;
  const { status } = await asked(seen, work, tenant, 'PUT', `${tenant.path}/files/${path}`, { body: content });
  if (status === 200) seen.promised.push({ kind: 'file', tenant, path, content });
  return status === 200;
};

const remember: Action = async (tenant, seen, work) => {
  const text = `Remember ${randomUUID()}`;
  const answer = await asked(seen, work, tenant, 'POST', `${tenant.path}/memories`, {
    json: { agent: 'main', user: 'ada', text },
  });
  if (answer.status !== 201) return false;
  const { memoryId } = answer.json as { memoryId: string };
  seen.promised.push({ kind: 'memory', tenant, memoryId, text });
  return true;
};

const createAgent: Action = async (tenant, seen, work) => {
  const agent = `a-${randomUUID().slice(0, 8)}`;
  const { status } = await asked(seen, work, tenant, 'POST', `${tenant.path}/agents`, { json: { agent } });
  if (status === 201) seen.promised.push({ kind: 'agent', tenant, agent });
  return status === 201;
};

const actions: readonly Action[] = [
  chatWhole,
  chatStreamed,
  writeFile,
  chatWhole,
  hangUp,
  chatOnce,
  chatStreamed,
  remember,
  chatWhole,
  createAgent,
];

async function asked(
  seen: Seen,
  { leaving }: Work,
  tenant: Tenant,
  method: string,
  path: string,
  more: Parameters<Tenant['ask']>[2],
  alsoExplained: readonly number[] = [],
): Promise<Answer> {
  const answer = await tenant
    .ask(method, path, { ...more, timeoutMs: ACTION_TIMEOUT_MS, signal: leaving })
    .catch(() => ({ status: 0, headers: new Headers(), bytes: Buffer.alloc(0), text: '', json: undefined }));
  if (!alsoExplained.includes(answer.status)) seen.answered(`${method} ${path}`, answer);
  return answer;
}

export function deltasOf(stream: string): string {
  return stream
    .split('\n\n')
    .filter((event) => event.startsWith('data: {'))
    .map((event) => JSON.parse(event.slice(6)) as { choices?: { delta: { content?: string } }[] })
    .map(({ choices }) => choices?.[0]?.delta.content ?? '')
    .join('');
}
