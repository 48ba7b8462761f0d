import type { dispatch, EventOf } from '@reef/contracts';
import type { Call } from './call.js';

export type TurnEvent = EventOf<
  typeof dispatch,
  'TurnRequested' | 'TurnStarted' | 'TurnCompleted' | 'TurnFailed' | 'TurnCancelled'
>;

/** A turn only climbs; its three ends exclude each other, and their order merely settles what must not happen. */
export const stages = ['queued', 'running', 'cancelled', 'failed', 'completed'] as const;
const stageOf = (name: (typeof stages)[number]) => stages.indexOf(name);

/** What is known of one turn; a fact that has not arrived is absent. */
export interface Turn {
  readonly turnId: string;
  /** Index into `stages`. */
  readonly stage: number;
  readonly agent?: string;
  readonly user?: string | null;
  readonly session?: string;
  readonly requestedAt?: string;
  readonly startedAt?: string;
  readonly endedAt?: string;
}

/** What an event says about a turn. */
export function turnOf({ type, data }: TurnEvent): Turn {
  const { turnId } = data;
  switch (type) {
    case 'TurnRequested': {
      const { agent, user, session, requestedAt, startsNow } = data;
      const turn = { turnId, agent, user, session, requestedAt };
      return startsNow
        ? { ...turn, stage: stageOf('running'), startedAt: requestedAt }
        : { ...turn, stage: stageOf('queued') };
    }
    case 'TurnStarted':
      return { turnId, stage: stageOf('running'), startedAt: data.startedAt };
    case 'TurnCompleted':
      return { turnId, stage: stageOf('completed'), endedAt: data.completedAt };
    case 'TurnFailed':
      return { turnId, stage: stageOf('failed'), endedAt: data.failedAt };
    case 'TurnCancelled':
      return { turnId, stage: stageOf('cancelled'), endedAt: data.cancelledAt };
  }
}

/** A call whose turn has not been heard of announces it: budgets' events may overtake dispatch's. */
export function turnOfCall({ attribution, reservedAt }: Call): Turn {
  const { turnId, agent, user, session } = attribution;
  return { turnId, stage: stageOf('queued'), agent, user, session, requestedAt: reservedAt };
}

/** Two facts about one turn as one; commutative, associative and idempotent like `joinCalls`. */
export function joinTurns(one: Turn, other: Turn): Turn {
  const requestedAt = earlier(one.requestedAt, other.requestedAt);
  const startedAt = earlier(one.startedAt, other.startedAt);
  const endedAt = earlier(one.endedAt, other.endedAt);
  return {
    ...one,
    ...other,
    stage: Math.max(one.stage, other.stage),
    ...(requestedAt && { requestedAt }),
    ...(startedAt && { startedAt }),
    ...(endedAt && { endedAt }),
  };
}

function earlier(one: string | undefined, other: string | undefined): string | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return Date.parse(one) <= Date.parse(other) ? one : other;
}
