import { describe, expect, test } from '@jest/globals';
import { scenario } from '@reef/testing';
import { created, NOON, profile } from '../../test/builders.js';
import { type AgentEvent, agentDecider } from './agent.js';

const given = scenario(agentDecider);
const archived: AgentEvent = { type: 'AgentArchived', data: { archivedAt: NOON } };
const main = { agent: 'main' };

describe('an agent', () => {
  test('is made once under its name, and the name is never free again', () => {
    given().when({ type: 'create', data: profile() }).then(created());
    given(created()).when({ type: 'create', data: profile() }).refuses('agent_taken');
    given(created(), archived).when({ type: 'create', data: profile() }).refuses('agent_taken');
  });

  test('that a tenant begins with is there after any number of openings, as it was first', () => {
    given()
      .when({ type: 'open', data: profile(main) })
      .then(created(main));
    given(created(main))
      .when({ type: 'open', data: profile({ ...main, model: 'other/model' }) })
      .nothing();
  });

  test('changes in what is named and differs, and in nothing else', () => {
    given(created())
      .when({ type: 'update', data: { name: 'Robin', model: 'other/model', updatedAt: NOON } })
      .then({ type: 'AgentUpdated', data: { model: 'other/model', updatedAt: NOON } });
    given(created())
      .when({ type: 'update', data: { name: undefined, instructions: '', updatedAt: NOON } })
      .then({ type: 'AgentUpdated', data: { instructions: '', updatedAt: NOON } });
    given(created())
      .when({ type: 'update', data: { name: 'Robin', model: undefined, updatedAt: NOON } })
      .nothing();
    expect(given(created(), { type: 'AgentUpdated', data: { model: 'other/model', updatedAt: NOON } }).state).toEqual({
      status: 'active',
      ...profile({ model: 'other/model' }),
    });
  });

  test('that is archived or was never there can be neither changed nor archived', () => {
    for (const events of [[], [created(), archived]]) {
      given(...events)
        .when({ type: 'update', data: { name: 'Rook', updatedAt: NOON } })
        .refuses('agent_not_found');
      given(...events)
        .when({ type: 'archive', data: { archivedAt: NOON } })
        .refuses('agent_not_found');
    }
  });

  test('is archived and keeps its profile, unless it is the default agent', () => {
    given(created())
      .when({ type: 'archive', data: { archivedAt: NOON } })
      .then(archived);
    expect(given(created(), archived).state).toEqual({ status: 'archived', ...profile() });
    given(created(main))
      .when({ type: 'archive', data: { archivedAt: NOON } })
      .refuses('agent_is_default');
  });
});
