import { defineEntity } from '@mikro-orm/core';
import type { Usage } from '@reef/contracts';
import type { Projection, RowChange } from '@reef/eventing/pure';
import { evolveTurn, requestedTurn, type Session, type SessionEvent, type Turn } from '../domain/session.js';

export const TurnRow = defineEntity({
  name: 'TurnRow',
  tableName: 'turns',
  schema: 'view',
  properties: (p) => ({
    tenantId: p.string().primary(),
    turnId: p.uuid().primary(),
    session: p.string(),
    agent: p.string(),
    endUser: p.string().nullable(),
    model: p.string(),
    source: p.string(),
    status: p.string(),
    worker: p.string(),
    message: p.text(),
    reply: p.text().nullable(),
    failureCode: p.string().nullable(),
    failureMessage: p.string().nullable(),
    usage: p.json<Usage>().nullable(),
    requestedAt: p.datetime(),
    endedAt: p.datetime().nullable(),
  }),
});

/** One row a turn. A turn is told by its own events where they are all at hand, else by the session, which knows it still. */
export const turnsProjection: Projection<Session, SessionEvent> = {
  table: 'turns',
  key: ['turn_id'],
  sealed: ['message', 'reply'],
  rows({ state, events }) {
    const turns = new Map<string, Turn>();
    for (const event of events) {
      const { turnId } = event.data;
      if (event.type === 'TurnRequested') {
        turns.set(turnId, requestedTurn(event.data));
        continue;
      }
      const turn = turns.get(turnId);
      const known = turn ? evolveTurn(turn, event) : state.turns.get(turnId);
      if (known) turns.set(turnId, known);
    }
    return [...turns.values()].map(rowOf);
  },
};

function rowOf(turn: Turn): RowChange {
  return {
    upsert: {
      turn_id: turn.turnId,
      session: turn.session,
      agent: turn.agent,
      end_user: turn.user,
      model: turn.model,
      source: turn.source,
      status: turn.status,
      worker: turn.worker,
      message: turn.message,
      reply: turn.reply,
      failure_code: turn.failure?.code ?? null,
      failure_message: turn.failure?.message ?? null,
      usage: turn.usage,
      requested_at: turn.requestedAt,
      ended_at: turn.endedAt,
    },
  };
}
