import { defineEntity } from '@mikro-orm/core';
import type { Projection } from '@reef/eventing/pure';
import type { Session, SessionEvent } from '../domain/session.js';

export const SessionRow = defineEntity({
  name: 'SessionRow',
  tableName: 'sessions',
  schema: 'view',
  properties: (p) => ({
    tenantId: p.string().primary(),
    session: p.string().primary(),
    agent: p.string(),
    endUser: p.string().nullable(),
    turns: p.integer(),
    startedAt: p.datetime(),
    lastTurnAt: p.datetime(),
  }),
});

export const sessionsProjection: Projection<Session, SessionEvent> = {
  table: 'sessions',
  key: ['session'],
  rows: ({ stream, state }) =>
    state.agent === null
      ? []
      : [
          {
            upsert: {
              session: stream.slice('session/'.length),
              agent: state.agent,
              end_user: state.user,
              turns: state.count,
              started_at: state.startedAt,
              last_turn_at: state.lastTurnAt,
            },
          },
        ],
};
