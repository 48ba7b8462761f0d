import { expect, test } from '@jest/globals';
import { fold, isRefusal, type Projection } from '@reef/eventing/pure';
import fc from 'fast-check';
import { complete, idOf, NOON, profile, request, SESSION } from '../../test/builders.js';
import { live, steps } from '../../test/lives.js';
import { type AgentCommand, agentDecider } from '../domain/agent.js';
import { sessionDecider, type SessionEvent } from '../domain/session.js';
import { agentsProjection } from './agents.js';
import { sessionsProjection } from './sessions.js';
import { turnsProjection } from './turns.js';

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
      const stream = `session/${SESSION}`;
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
    fc
      .constantFrom('Robin', 'Wren')
      .map((each): AgentCommand => ({ type: 'update', data: { name: each, updatedAt: NOON } })),
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
  const rows = rowsAfter(
    sessionDecider,
    turnsProjection,
    'session/agent:main:desk',
    live([{ any: request('a') }, { any: request('b') }, { any: complete('a') }]),
  );
  expect([...rows.values()]).toMatchObject([
    { turn_id: idOf('a'), status: 'completed', message: 'message a', reply: 'reply a', ended_at: NOON },
    { turn_id: idOf('b'), status: 'queued', reply: null, ended_at: null, end_user: 'ada' },
  ]);
});
