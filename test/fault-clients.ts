import { setTimeout as sleep } from 'node:timers/promises';
import { picoOf } from './books.js';
import { SCRIPTED } from './load.js';
import type { Tenant } from './stack.js';

/** The reply of each turn; at its pace it takes two and a half seconds, so that deaths meet it. */
const REPLY_TOKENS = 100;
const TOKENS_PER_SECOND = 40;
const OUTPUT_TOKENS_MAX = 1_000;
const GIVE_UP_MS = 25_000;

/** Somebody was told that the budget is used up. */
export interface ToldExhausted {
  readonly leftPico: bigint;
  /** The request's beginning and end, ms since 1970. */
  readonly fromMs: number;
  readonly toMs: number;
}

/** What the clients of one tenant saw. */
export class Answers {
  readonly exhausted: ToldExhausted[] = [];
  /** How often each outcome came: a status, an error's code, `completed`, `cut`. */
  readonly outcomes: Record<string, number> = {};

  add(outcome: string): void {
    this.outcomes[outcome] = (this.outcomes[outcome] ?? 0) + 1;
  }

  of(outcome: string): number {
    return this.outcomes[outcome] ?? 0;
  }
}

/**
 * So many clients that stream one turn after the other, each under a label of its own and of one length, and hang up on every
 * eighth. They come in over one second, and pause longer the more they are, so that refusals are no flood.
 */
export async function streamTurns(
  tenant: Tenant,
  {
    clients,
    untilMs,
    turns = Infinity,
    name = 'c',
  }: { clients: number; untilMs: number; turns?: number; /** One letter. */ name?: string },
  seen: Answers,
): Promise<void> {
  const client = async (index: number) => {
    await sleep((index / clients) * 1_000);
    for (let turn = 0; turn < turns && Date.now() < untilMs; turn += 1) {
      const label = `${name}${String(index).padStart(4, '0')}t${String(turn).padStart(3, '0')}`;
      seen.add(await streamOne(tenant, label, (index + turn) % 8 === 7, seen).catch(() => 'cut'));
      await sleep(Math.min(clients * (6 + Math.random() * 12), Math.max(0, untilMs - Date.now())));
    }
  };
  await Promise.all(Array.from({ length: clients }, (_none, index) => client(index)));
}

async function streamOne(tenant: Tenant, label: string, hangsUp: boolean, seen: Answers): Promise<string> {
  const fromMs = Date.now();
  const leaving = new AbortController();
  const script = [{ label, tokens: REPLY_TOKENS, tokensPerSecond: TOKENS_PER_SECOND }];
  const response = await fetch(tenant.url('/v1/chat/completions'), {
    method: 'POST',
    headers: { authorization: `Bearer ${tenant.apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: `openclaw/${SCRIPTED}`,
      user: label,
      max_tokens: OUTPUT_TOKENS_MAX,
      stream: true,
      messages: [{ role: 'user', content: JSON.stringify(script) }],
    }),
    signal: AbortSignal.any([leaving.signal, AbortSignal.timeout(GIVE_UP_MS)]),
  });
  if (!response.ok) return refused(await response.text(), response.status, fromMs, seen);
  if (hangsUp) {
    await response.body?.getReader().read();
    await sleep(500);
    leaving.abort();
    return 'hung up';
  }
  const text = await response.text();
  if (/"error":/.test(text)) return refused(text.slice(text.lastIndexOf('data: {"error"') + 6), 200, fromMs, seen);
  return text.trimEnd().endsWith('data: [DONE]') ? 'completed' : 'cut';
}

function refused(body: string, status: number, fromMs: number, seen: Answers): string {
  const { error } = (parsed(body) ?? {}) as { error?: { code?: string; details?: { left?: string } } };
  if (error?.code === 'budget_exhausted' && error.details?.left !== undefined) {
    seen.exhausted.push({ leftPico: picoOf(error.details.left), fromMs, toMs: Date.now() });
  }
  return `${status} ${error?.code ?? ''}`.trim();
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text.split('\n\n')[0] ?? '');
  } catch {
    return undefined;
  }
}
