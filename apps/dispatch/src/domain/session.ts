import type { dispatch, EventOf, Usage } from '@reef/contracts';
import { type Decider, refuse, unreachable } from '@reef/eventing/pure';

export type SessionEvent = EventOf<
  typeof dispatch,
  | 'TurnRequested'
  | 'TurnStarted'
  | 'TurnCompleted'
  | 'TurnFailed'
  | 'TurnCancelled'
  | 'TurnWorked'
  | 'ModelCalled'
  | 'ToolCalled'
>;
export type SessionRefusal = 'session_queue_full' | 'turn_reused' | 'turn_not_found' | 'session_busy';
type DataOf<Type extends SessionEvent['type']> = Extract<SessionEvent, { type: Type }>['data'];

/** Turns of one session that may be open at once: one runs, the others wait for it. */
export const OPEN_TURNS_MAX = 8;
/** Ended turns that a session remembers word by word; older ones stay in its events. */
export const TURNS_REMEMBERED_MAX = 60;
/** Characters of ended turns that a session remembers; the prompt takes fewer. */
export const CHARACTERS_REMEMBERED_MAX = 200_000;
/**
 * The newest ended turns stay, however long: one commit may end every turn that was open, and the read model of turns asks
 * the session for them after it.
 */
const TURNS_KEPT_MIN = OPEN_TURNS_MAX;

type Request = Omit<DataOf<'TurnRequested'>, 'startsNow'>;
type Work = Pick<DataOf<'TurnWorked'>, 'calls' | 'tools'>;

export interface Turn extends Request {
  readonly status: 'queued' | 'running' | 'completed' | 'failed' | 'cancelled';
  readonly reply: string | null;
  readonly failure: { readonly code: string; readonly message: string } | null;
  readonly usage: Usage | null;
  readonly endedAt: string | null;
  /** Whether the log has its calls and tools. */
  readonly isTold: boolean;
}

export interface Session {
  /** Whose it is: told by its first turn. */
  readonly agent: string | null;
  readonly user: string | null;
  /** By id: all open turns as they were requested, and the newest ended ones as they ended. */
  readonly turns: ReadonlyMap<string, Turn>;
  readonly count: number;
  readonly startedAt: string | null;
  readonly lastTurnAt: string | null;
}

export type SessionCommand =
  | { type: 'requestTurn'; data: Request }
  /** Lets the turn that waits longest run, if none does. */
  | { type: 'beginTurn'; data: DataOf<'TurnStarted'> }
  | {
      type: 'endTurn';
      data: {
        turnId: string;
        calls: readonly DataOf<'ModelCalled'>[];
        tools: readonly DataOf<'ToolCalled'>[];
        end:
          | { status: 'completed'; reply: string; usage: Usage | null; at: string }
          | { status: 'failed'; code: string; message: string; at: string }
          | { status: 'cancelled'; at: string };
      };
    }
  | { type: 'cancelTurn'; data: Pick<DataOf<'TurnCancelled'>, 'turnId' | 'cancelledAt'> }
  /** Ends a turn whose worker is dead. */
  | { type: 'interruptTurn'; data: { turnId: string; worker: string; at: string } };

const isOpen = ({ status }: Turn) => status === 'queued' || status === 'running';
const openTurns = (session: Session) => [...session.turns.values()].filter(isOpen);

export const sessionDecider: Decider<Session, SessionCommand, SessionEvent, SessionRefusal> = {
  initial: { agent: null, user: null, turns: new Map(), count: 0, startedAt: null, lastTurnAt: null },
  decide(command, state) {
    switch (command.type) {
      case 'requestTurn': {
        const { turnId } = command.data;
        if (state.turns.has(turnId)) return refuse('turn_reused', 'a turn has this id already');
        const open = openTurns(state);
        if (open.length >= OPEN_TURNS_MAX) {
          return refuse('session_queue_full', 'too many turns of this session are waiting', { openTurns: open.length });
        }
        return [{ type: 'TurnRequested', data: { ...command.data, startsNow: open.length === 0 } }];
      }
      case 'beginTurn': {
        const turn = state.turns.get(command.data.turnId);
        if (!turn || !isOpen(turn)) return refuse('turn_not_found', 'the turn is over');
        if (turn.status === 'running') return [];
        const [first] = openTurns(state);
        if (first?.turnId !== turn.turnId) return refuse('session_busy', 'another turn of this session comes first');
        return [{ type: 'TurnStarted', data: command.data }];
      }
      case 'endTurn': {
        const { turnId, calls, tools, end } = command.data;
        const turn = state.turns.get(turnId);
        const work = { calls: calls.map(withoutTurn), tools: tools.map(withoutTurn) };
        if (!turn) return [];
        if (isOpen(turn)) return [ending(turnId, end, work)];
        // Cancelled or interrupted meanwhile: it has ended, and ends once. What was done for it is told nevertheless, once.
        return turn.isTold || isNothing(work) ? [] : [{ type: 'TurnWorked', data: { turnId, ...work } }];
      }
      case 'cancelTurn': {
        const turn = state.turns.get(command.data.turnId);
        if (!turn) return refuse('turn_not_found', 'there is no such turn');
        return isOpen(turn) ? [{ type: 'TurnCancelled', data: { ...command.data, ...NOTHING_DONE } }] : [];
      }
      case 'interruptTurn': {
        const { turnId, worker, at } = command.data;
        const turn = state.turns.get(turnId);
        if (!turn || !isOpen(turn) || turn.worker !== worker) return [];
        return [
          {
            type: 'TurnFailed',
            data: {
              turnId,
              code: 'interrupted',
              message: 'the process that ran the turn ended',
              failedAt: at,
              ...NOTHING_DONE,
            },
          },
        ];
      }
      default:
        return unreachable(command);
    }
  },
  evolve(state, event) {
    const { turnId } = event.data;
    switch (event.type) {
      case 'TurnRequested': {
        const turn = requestedTurn(event.data);
        return {
          agent: state.agent ?? turn.agent,
          user: state.agent === null ? turn.user : state.user,
          turns: new Map(state.turns).set(turnId, turn),
          count: state.count + 1,
          startedAt: state.startedAt ?? event.data.requestedAt,
          lastTurnAt: event.data.requestedAt,
        };
      }
      case 'ModelCalled':
      case 'ToolCalled':
      case 'TurnWorked':
      case 'TurnStarted':
      case 'TurnCompleted':
      case 'TurnFailed':
      case 'TurnCancelled': {
        const turn = state.turns.get(turnId);
        if (!turn) return state;
        const turns = new Map(state.turns);
        const next = evolveTurn(turn, event);
        if (isOpen(next) || !isOpen(turn)) return { ...state, turns: turns.set(turnId, next) };
        turns.delete(turnId); // It goes behind the turns that ended before it.
        return { ...state, turns: remember(turns.set(turnId, next)) };
      }
      default:
        return unreachable(event);
    }
  },
};

const NOTHING_DONE: Work = { calls: [], tools: [] };
const withoutTurn = <Done extends { turnId: string }>({ turnId: _theEvents, ...done }: Done) => done;
const isNothing = ({ calls, tools }: Work) => calls.length === 0 && tools.length === 0;

function ending(
  turnId: string,
  end: Extract<SessionCommand, { type: 'endTurn' }>['data']['end'],
  work: Work,
): SessionEvent {
  switch (end.status) {
    case 'completed':
      return {
        type: 'TurnCompleted',
        data: { turnId, reply: end.reply, usage: end.usage, completedAt: end.at, ...work },
      };
    case 'failed':
      return { type: 'TurnFailed', data: { turnId, code: end.code, message: end.message, failedAt: end.at, ...work } };
    case 'cancelled':
      return { type: 'TurnCancelled', data: { turnId, cancelledAt: end.at, ...work } };
    default:
      return unreachable(end);
  }
}

/** A turn as it begins, which the read model of turns shares. */
export function requestedTurn({ startsNow, ...request }: DataOf<'TurnRequested'>): Turn {
  const status = startsNow ? 'running' : 'queued';
  return { ...request, status, reply: null, failure: null, usage: null, endedAt: null, isTold: false };
}

/** One turn's own fold, which the read model of turns shares. */
export function evolveTurn(turn: Turn, event: SessionEvent): Turn {
  switch (event.type) {
    case 'TurnStarted':
      return { ...turn, status: 'running', worker: event.data.worker };
    case 'TurnCompleted':
      return {
        ...turn,
        status: 'completed',
        reply: event.data.reply,
        usage: event.data.usage,
        endedAt: event.data.completedAt,
        isTold: turn.isTold || !isNothing(event.data),
      };
    case 'TurnFailed':
      return {
        ...turn,
        status: 'failed',
        failure: { code: event.data.code, message: event.data.message },
        endedAt: event.data.failedAt,
        isTold: turn.isTold || !isNothing(event.data),
      };
    case 'TurnCancelled':
      return {
        ...turn,
        status: 'cancelled',
        endedAt: event.data.cancelledAt,
        isTold: turn.isTold || !isNothing(event.data),
      };
    case 'TurnWorked':
    case 'ModelCalled':
    case 'ToolCalled':
      return { ...turn, isTold: true };
    case 'TurnRequested':
      return turn;
    default:
      return unreachable(event);
  }
}

/** Forgets the oldest ended turns beyond what a session keeps. */
function remember(turns: Map<string, Turn>): Map<string, Turn> {
  const ended = [...turns.values()].filter((turn) => !isOpen(turn));
  let characters = 0;
  let kept = 0;
  for (const turn of ended.reverse()) {
    characters += turn.message.length + (turn.reply?.length ?? 0);
    kept++;
    if (kept <= TURNS_KEPT_MIN) continue;
    if (kept > TURNS_REMEMBERED_MAX || characters > CHARACTERS_REMEMBERED_MAX) turns.delete(turn.turnId);
  }
  return turns;
}

/**
 * What the model is told of the conversation: the newest completed turns, at most so many characters, oldest first.
 * @param charactersMax of messages and replies together.
 */
export function historyOf(session: Session, charactersMax: number): { role: 'user' | 'assistant'; content: string }[] {
  const history: { role: 'user' | 'assistant'; content: string }[] = [];
  let left = charactersMax;
  for (const turn of [...session.turns.values()].reverse()) {
    if (turn.status !== 'completed' || turn.reply === null || turn.reply === '') continue;
    left -= turn.message.length + turn.reply.length;
    if (left < 0) break;
    history.unshift({ role: 'user', content: turn.message }, { role: 'assistant', content: turn.reply });
  }
  return history;
}
