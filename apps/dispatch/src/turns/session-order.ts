import { Inject, Injectable } from '@nestjs/common';
import { EventStore } from '@reef/eventing';
import { serviceContext } from '@reef/service';
import { sessionAggregate, sessionStream } from '../aggregates.js';
import { historyOf } from '../domain/session.js';
import type { ChatMessage } from '../engines/engine.js';
import { WORKER } from '../tokens.js';

/** Of the conversation, a prompt holds so many characters at most. */
const HISTORY_CHARACTERS_MAX = 60_000;
/** How often a turn that waits for its session looks by itself: turns of other instances end unheard, ms. */
const SESSION_POLL_MS = 200;

export interface SessionNow {
  readonly history: ChatMessage[];
  /** Another turn of the session is open: one more would wait. */
  readonly isBusy: boolean;
}

/** Sessions as turns see them: what was said, and whose turn it is. */
@Injectable()
export class SessionOrder {
  /** Wakes the turns that wait for their session. */
  readonly #waits = new Map<string, Set<() => void>>();

  constructor(
    private readonly store: EventStore,
    @Inject(WORKER) private readonly worker: string,
  ) {}

  /** As this process knows it; another one may know more. */
  async now(tenant: string, key: string): Promise<SessionNow> {
    const { state } = await this.store.load(sessionAggregate, tenant, sessionStream(key), { mayBeStale: true });
    const isBusy = [...state.turns.values()].some(({ status }) => status === 'queued' || status === 'running');
    return { history: historyOf(state, HISTORY_CHARACTERS_MAX), isBusy };
  }

  /** Waits until this turn is first in its session, unless it is over, or its time is, before that. */
  async awaitTurn(
    turn: { readonly turnId: string; readonly tenant: string; readonly session: string; readonly deadlineMs: number },
    signal: AbortSignal,
  ): Promise<'begun' | 'over' | 'late'> {
    const { turnId, tenant, session, deadlineMs } = turn;
    while (!signal.aborted && Date.now() < deadlineMs) {
      const begun = await this.store.execute(sessionAggregate, {
        tenant,
        stream: sessionStream(session),
        command: { type: 'beginTurn', data: { turnId, worker: this.worker, startedAt: new Date().toISOString() } },
        context: serviceContext(tenant, 'dispatch'),
      });
      if (begun.ok) return 'begun';
      if (begun.code === 'turn_not_found') return 'over';
      await this.#change(`${tenant} ${session}`);
    }
    return signal.aborted ? 'over' : 'late';
  }

  /** A turn of the session has ended. */
  wake(tenant: string, session: string): void {
    for (const wake of this.#waits.get(`${tenant} ${session}`) ?? []) wake();
  }

  #change(key: string): Promise<void> {
    return new Promise((resolve) => {
      const waits = this.#waits.get(key) ?? new Set();
      this.#waits.set(key, waits);
      const wake = () => {
        clearTimeout(timer);
        waits.delete(wake);
        if (waits.size === 0) this.#waits.delete(key);
        resolve();
      };
      const timer = setTimeout(wake, SESSION_POLL_MS);
      waits.add(wake);
    });
  }
}
