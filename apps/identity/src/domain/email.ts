import type { EventOf, identity } from '@reef/contracts';
import { type Decider, refuse, unreachable } from '@reef/eventing/pure';

export const FAILURES_MAX = 10;
export const FAILURES_WITHIN_MS = 15 * 60_000;
export const LOCKED_FOR_MS = 15 * 60_000;

export type EmailEvent = EventOf<typeof identity, 'EmailClaimed' | 'LoginFailed'>;

/** An e-mail address, claimed or not: attempts are counted alike, so that nobody learns from them who has an account. */
export interface Email {
  readonly userId: string | null;
  /** The newest failures, at most as many as lock. */
  readonly failuresMs: readonly number[];
}

export type EmailCommand =
  | { readonly type: 'claim'; readonly data: { readonly userId: string } }
  /** Lets a log-in with the right password through, or not. */
  | { readonly type: 'admit'; readonly data: { readonly nowMs: number } }
  | { readonly type: 'recordFailure'; readonly data: { readonly nowMs: number } };

/** Until when no password is looked at, ms since the epoch; null when the address is not locked. */
export function lockedUntilMs(state: Email, nowMs: number): number | null {
  const [first, last] = [state.failuresMs[0], state.failuresMs.at(-1)];
  if (state.failuresMs.length < FAILURES_MAX || first === undefined || last === undefined) return null;
  const untilMs = last + LOCKED_FOR_MS;
  return last - first <= FAILURES_WITHIN_MS && nowMs < untilMs ? untilMs : null;
}

export const emailDecider: Decider<Email, EmailCommand, EmailEvent, 'email_taken' | 'locked'> = {
  initial: { userId: null, failuresMs: [] },
  decide(command, state) {
    switch (command.type) {
      case 'claim':
        if (state.userId !== null) return refuse('email_taken', 'this e-mail address has an account');
        return [{ type: 'EmailClaimed', data: command.data }];
      case 'admit':
        return refusalIfLocked(state, command.data.nowMs) ?? [];
      case 'recordFailure': {
        const { nowMs } = command.data;
        // While locked nothing is counted, else an attacker could keep an account locked for ever.
        const locked = refusalIfLocked(state, nowMs);
        if (locked) return locked;
        return [{ type: 'LoginFailed', data: { userId: state.userId, failedAt: new Date(nowMs).toISOString() } }];
      }
      default:
        return unreachable(command);
    }
  },
  evolve(state, event) {
    switch (event.type) {
      case 'EmailClaimed':
        return { ...state, userId: event.data.userId };
      case 'LoginFailed':
        return { ...state, failuresMs: [...state.failuresMs, Date.parse(event.data.failedAt)].slice(-FAILURES_MAX) };
      default:
        return unreachable(event);
    }
  },
};

export function refusalIfLocked(state: Email, nowMs: number) {
  const untilMs = lockedUntilMs(state, nowMs);
  if (untilMs === null) return null;
  return refuse('locked', 'too many failed log-ins; try again later', { until: new Date(untilMs).toISOString() });
}
