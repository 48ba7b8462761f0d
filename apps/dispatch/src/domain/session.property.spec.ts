import { expect, test } from '@jest/globals';
import { fold, isRefusal } from '@reef/eventing/pure';
import fc from 'fast-check';
import {
  begin,
  cancel,
  complete,
  endCancelled,
  fail,
  idOf,
  interrupt,
  modelCalled,
  request,
} from '../../test/builders.js';
import { agentsProjection } from '../projections/agents.js';
import { sessionsProjection } from '../projections/sessions.js';
import { turnsProjection } from '../projections/turns.js';
import type { Projection } from '@reef/eventing/pure';
import { profile, NOON } from '../../test/builders.js';
import { type AgentCommand, agentDecider } from './agent.js';
import {
  CHARACTERS_REMEMBERED_MAX,
  OPEN_TURNS_MAX,
  type Session,
  type SessionCommand,
  sessionDecider,
  type SessionEvent,
  TURNS_REMEMBERED_MAX,
} from './session.js';

// Few names and few workers, so that commands meet the turns of others; some messages so long that a session must forget.
const name = fc.integer({ min: 1, max: 90 });
const worker = fc.constantFrom('worker-1', 'worker-2');
const length = fc.oneof(
  { weight: 5, arbitrary: fc.constant(10) },
  { weight: 1, arbitrary: fc.constantFrom(CHARACTERS_REMEMBERED_MAX / 12, CHARACTERS_REMEMBERED_MAX + 1) },
);
const anyCommand: fc.Arbitrary<SessionCommand> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .tuple(name, worker, length)
      .map(([id, by, characters]) => request(id, { worker: by, message: 'm'.repeat(characters) })),
  },
  { weight: 3, arbitrary: fc.tuple(name, worker).map(([id, by]) => begin(id, by)) },
  { weight: 3, arbitrary: name.map((id) => complete(id)) },
  { weight: 1, arbitrary: name.map((id) => fail(id)) },
  { weight: 1, arbitrary: name.map((id) => endCancelled(id)) },
  { weight: 1, arbitrary: name.map((id) => cancel(id)) },
  { weight: 1, arbitrary: fc.tuple(name, worker).map(([id, by]) => interrupt(id, by)) },
);

/** A command about the turn that is first, last, … of those that are open, so that long sessions come about. */
const aimed = fc.tuple(
  fc.nat({ max: OPEN_TURNS_MAX - 1 }),
  fc.constantFrom('begin', 'complete', 'fail', 'cancel', 'interrupt'),
);
type Step = { any: SessionCommand } | { aimed: [number, 'begin' | 'complete' | 'fail' | 'cancel' | 'interrupt'] };
const steps = fc.array(
  fc.oneof(
    anyCommand.map((any): Step => ({ any })),
    aimed.map(([at, kind]): Step => ({ aimed: [at, kind as 'begin'] })),
  ),
  { maxLength: 150 },
);

const isOpen = (status: string) => status === 'queued' || status === 'running';
const openIn = (session: Session) => [...session.turns.values()].filter(({ status }) => isOpen(status));

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
      return {
        type: 'endTurn',
        data: {
          turnId,
          calls: [{ ...modelCalled('x').data, turnId }],
          tools: [],
          end: { status: 'completed', reply: 'done', usage: null, at: NOON },
        },
      };
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
function live(life: readonly Step[], look: (session: Session) => void = () => undefined): SessionEvent[][] {
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

test('whatever happens, at most one turn of a session runs, and it is the one that waited longest', () => {
  fc.assert(
    fc.property(steps, (life) => {
      live(life, (session) => {
        const open = openIn(session);
        expect(open.length).toBeLessThanOrEqual(OPEN_TURNS_MAX);
        expect(open.slice(1).every(({ status }) => status === 'queued')).toBe(true);
      });
    }),
  );
});

test('whatever happens, a turn is requested once, starts once at most, and ends once at most and after its request', () => {
  fc.assert(
    fc.property(steps, (life) => {
      const told = new Map<string, string[]>();
      // A turn that was forgotten may be requested anew under its id, a day and sixty turns later; it is a new turn.
      for (const event of live(life).flat()) {
        const { turnId } = event.data;
        if (event.type === 'ModelCalled' || event.type === 'ToolCalled') continue;
        if (event.type === 'TurnRequested') told.set(turnId, []);
        told.get(turnId)?.push(event.type);
        expect(told.get(turnId)?.join(' ')).toMatch(
          /^TurnRequested( TurnStarted)?( TurnCompleted| TurnFailed| TurnCancelled)?$/,
        );
      }
    }),
  );
});

test('whatever happens, a session remembers no more than it may', () => {
  fc.assert(
    fc.property(steps, (life) => {
      live(life, (session) => {
        const ended = [...session.turns.values()].filter(({ status }) => !isOpen(status));
        expect(ended.length).toBeLessThanOrEqual(TURNS_REMEMBERED_MAX);
        const characters = ended.reduce((sum, turn) => sum + turn.message.length + (turn.reply?.length ?? 0), 0);
        expect(characters <= CHARACTERS_REMEMBERED_MAX || ended.length <= OPEN_TURNS_MAX).toBe(true);
      });
    }),
  );
});

/** The rows of a table after these commits, each of one or several commands. */
function rowsAfter<State, Event extends { type: string; data: object }>(
  decider: { initial: State; evolve(state: State, event: Event): State },
  projection: Projection<State, Event>,
  stream: string,
  commits: readonly (readonly Event[])[],
): Map<string, unknown> {
  const rows = new Map<string, unknown>();
  let state = decider.initial;
  for (const events of commits) {
    state = fold(decider, state, events);
    for (const change of projection.rows({ tenant: 'acme', stream, state, events })) {
      const row = 'upsert' in change ? change.upsert : change.delete;
      const key = JSON.stringify(projection.key.map((column) => row[column]));
      if ('upsert' in change) rows.set(key, row);
      else rows.delete(key);
    }
  }
  return rows;
}

/** Joins neighbours: one commit may hold the decisions of several commands. */
function joined<Event>(decisions: readonly Event[][], joins: readonly boolean[]): Event[][] {
  const commits: Event[][] = [];
  for (const [index, events] of decisions.entries()) {
    const last = commits.at(-1);
    if (last && joins[index % Math.max(joins.length, 1)]) last.push(...events);
    else commits.push([...events]);
  }
  return commits;
}

/** A commit holds at most the endings of the turns that were open before it: what is requested in it cannot end in it. */
function isPossible(commits: readonly SessionEvent[][]): boolean {
  return commits.every((events) => {
    const requested = new Set(events.filter(({ type }) => type === 'TurnRequested').map(({ data }) => data.turnId));
    return !events.some(
      ({ type, data }) =>
        requested.has(data.turnId) && (type === 'TurnCompleted' || type === 'TurnFailed' || type === 'TurnCancelled'),
    );
  });
}

test('the tables of a session are the same, command by command, in commits of several, and in a replay of all at once', () => {
  let together = 0;
  fc.assert(
    fc.property(steps, fc.array(fc.boolean(), { minLength: 1, maxLength: 7 }), (life, joins) => {
      const decisions = live(life);
      const stream = `session/${request(1).data && 'agent:main:desk'}`;
      const rows = (commits: SessionEvent[][]) => [
        rowsAfter(sessionDecider, sessionsProjection, stream, commits),
        rowsAfter(sessionDecider, turnsProjection, stream, commits),
      ];
      const replayed = rows([decisions.flat()]);
      expect(rows(decisions)).toEqual(replayed);
      const commits = joined(decisions, joins);
      if (!isPossible(commits)) return;
      if (commits.length < decisions.length) together++;
      expect(rows(commits)).toEqual(replayed);
    }),
  );
  expect(together).toBeGreaterThan(0);
});

test('the table of agents is the same, command by command and in a replay of all at once', () => {
  const agentCommand: fc.Arbitrary<AgentCommand> = fc.oneof(
    fc.constant<AgentCommand>({ type: 'open', data: profile() }),
    fc.constant<AgentCommand>({ type: 'create', data: profile({ name: 'Rook' }) }),
    fc.constantFrom('Robin', 'Wren').map((each) => ({ type: 'update', data: { name: each, updatedAt: NOON } })),
    fc.constant<AgentCommand>({ type: 'archive', data: { archivedAt: NOON } }),
  );
  fc.assert(
    fc.property(fc.array(agentCommand, { maxLength: 12 }), (commands) => {
      let agent = agentDecider.initial;
      const decisions = commands.map((command) => {
        const decision = agentDecider.decide(command, agent);
        const events = isRefusal(decision) ? [] : [...decision];
        agent = fold(agentDecider, agent, events);
        return events;
      });
      const stream = 'agent/robin';
      expect(rowsAfter(agentDecider, agentsProjection, stream, decisions)).toEqual(
        rowsAfter(agentDecider, agentsProjection, stream, [decisions.flat()]),
      );
    }),
  );
});

test('a row of a turn shows how it stands: waiting, running, and its end', () => {
  const rows = rowsAfter(sessionDecider, turnsProjection, 'session/agent:main:desk', live([{ any: request('a') }, { any: request('b') }, { any: complete('a') }]));
  expect([...rows.values()]).toMatchObject([
    { turn_id: idOf('a'), status: 'completed', message: 'message a', reply: 'reply a', ended_at: NOON },
    { turn_id: idOf('b'), status: 'queued', reply: null, ended_at: null, end_user: 'ada' },
  ]);
});
