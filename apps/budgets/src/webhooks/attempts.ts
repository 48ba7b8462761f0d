import type { OutboundOutcome } from '@reef/service';
import type { MessageType } from './messages.js';

/** The pauses after an attempt that failed, ms: an endpoint that is being deployed hears soon, one that is down for a night still hears. */
const PAUSES_MS = [5_000, 60_000, 600_000, 3_600_000, 6 * 3_600_000] as const;
/** Endpoints that came back together are not all called at one instant. */
const JITTER = 0.2;

/** By the Standard Webhooks: the endpoint wants to hear no more of it. */
const GONE = 410;

export const attemptsMaxOf = (type: MessageType): number => (type === 'webhook.test' ? 1 : PAUSES_MS.length + 1);

export type Verdict =
  { readonly status: 'delivered' | 'failed' } | { readonly status: 'waiting'; readonly pauseMs: number };

/**
 * What follows from an attempt.
 * @param attempt the first is 1.
 * @param chance evenly within 0–1.
 */
export function verdictOf(type: MessageType, attempt: number, outcome: OutboundOutcome, chance: number): Verdict {
  const status = 'status' in outcome ? outcome.status : null;
  if (status !== null && status >= 200 && status < 300) return { status: 'delivered' };
  const pauseMs = PAUSES_MS[attempt - 1];
  if (status === GONE || pauseMs === undefined || attempt >= attemptsMaxOf(type)) return { status: 'failed' };
  return { status: 'waiting', pauseMs: Math.round(pauseMs * (1 + JITTER * (2 * chance - 1))) };
}
