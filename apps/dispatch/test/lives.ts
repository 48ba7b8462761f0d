import { fold, isRefusal } from '@reef/eventing/pure';
import fc from 'fast-check';
import {
  CHARACTERS_REMEMBERED_MAX,
  OPEN_TURNS_MAX,
  type Session,
  type SessionCommand,
  sessionDecider,
  type SessionEvent,
} from '../src/domain/session.js';
import { begin, cancel, complete, endCancelled, fail, having, interrupt, NOON, request, workOf } from './builders.js';

// Lives of a session as a property test draws them.

// Few names and few workers, so that commands meet the turns of others; some messages so long that a session must forget.
const anyName = fc.integer({ min: 1, max: 90 });
const anyWorker = fc.constantFrom('worker-1', 'worker-2');
const anyLength = fc.oneof(
  { weight: 5, arbitrary: fc.constant(10) },
  { weight: 1, arbitrary: fc.constantFrom(CHARACTERS_REMEMBERED_MAX / 12, CHARACTERS_REMEMBERED_MAX + 1) },
);
const anyCommand: fc.Arbitrary<SessionCommand> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .tuple(anyName, anyWorker, anyLength)
      .map(([id, by, characters]) => request(id, { worker: by, message: 'm'.repeat(characters) })),
  },
  { weight: 3, arbitrary: fc.tuple(anyName, anyWorker).map(([id, by]) => begin(id, by)) },
  { weight: 3, arbitrary: anyName.map((id) => complete(id)) },
  { weight: 1, arbitrary: anyName.map((id) => fail(id)) },
  { weight: 1, arbitrary: anyName.map((id) => endCancelled(id)) },
  { weight: 2, arbitrary: anyName.map((id) => having(workOf(id), endCancelled(id))) },
  { weight: 1, arbitrary: anyName.map((id) => cancel(id)) },
  { weight: 1, arbitrary: fc.tuple(anyName, anyWorker).map(([id, by]) => interrupt(id, by)) },
);

/** A command about the turn that is first, last, … of those that are open, so that long sessions come about. */
const aimed = fc.tuple(
  fc.nat({ max: OPEN_TURNS_MAX - 1 }),
  fc.constantFrom('begin', 'complete', 'fail', 'cancel', 'interrupt'),
);
export type Step =
  { any: SessionCommand } | { aimed: [number, 'begin' | 'complete' | 'fail' | 'cancel' | 'interrupt'] };
export const steps = fc.array(
  fc.oneof(
    anyCommand.map((any): Step => ({ any })),
    aimed.map(([at, kind]): Step => ({ aimed: [at, kind as 'begin'] })),
  ),
  { maxLength: 150 },
);

export const isOpen = (status: string) => status === 'queued' || status === 'running';
export const openIn = (session: Session) => [...session.turns.values()].filter(({ status }) => isOpen(status));

function commandOf(step: Step, session: Session): SessionCommand | null {
  if ('any' in step) return step.any;
  const [at, kind] = step.aimed;
  const turn = openIn(session)[at];
  if (!turn) return null;
  const { turnId } = turn;
  switch (kind) {
    case 'begin':
      return { type: 'beginTurn', data: { turnId, worker: turn.worker, startedAt: NOON } };
    case 'complete':
      return having(workOf('x'), {
        type: 'endTurn',
        data: {
          turnId,
          calls: [],
          tools: [],
          end: { status: 'completed', reply: 'done', usage: null, at: NOON },
        },
      });
    case 'fail':
      return {
        type: 'endTurn',
        data: { turnId, calls: [], tools: [], end: { status: 'failed', code: 'x', message: '', at: NOON } },
      };
    case 'cancel':
      return { type: 'cancelTurn', data: { turnId, cancelledAt: NOON } };
    case 'interrupt':
      return { type: 'interruptTurn', data: { turnId, worker: turn.worker, at: NOON } };
  }
}

/** What each command of a life decided; `look` sees the state after each. */
export function live(life: readonly Step[], look: (session: Session) => void = () => undefined): SessionEvent[][] {
  let session = sessionDecider.initial;
  const decided: SessionEvent[][] = [];
  for (const step of life) {
    const command = commandOf(step, session);
    const decision = command ? sessionDecider.decide(command, session) : [];
    if (isRefusal(decision)) continue;
    session = fold(sessionDecider, session, decision);
    decided.push([...decision]);
    look(session);
  }
  return decided;
}
