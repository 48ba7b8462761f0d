import { describe, expect, test } from '@jest/globals';
import { scenario } from '@reef/testing';
import { type UserCommand, userDecider, type UserEvent } from './user.js';

const given = scenario(userDecider);

const ada = { userId: 'ada', email: 'ada@acme.test', name: 'Ada', passwordHash: '$argon2id$…' };
const registered: UserEvent = { type: 'UserRegistered', data: ada };
const joined: UserEvent = { type: 'TenantJoined', data: { tenant: 'acme', role: 'owner' } };
const session = (sessionId: string) => ({
  sessionId,
  sessionHash: `#${sessionId}`,
  expiresAt: '2026-12-01T10:00:00.000Z',
});
const open = (sessionId: string): UserCommand => ({ type: 'openSession', data: session(sessionId) });
const opened = (sessionId: string): UserEvent => ({ type: 'LoginSucceeded', data: session(sessionId) });
const logOut = (sessionId: string): UserCommand => ({ type: 'logOut', data: { sessionId } });
const loggedOut = (sessionId: string): UserEvent => ({ type: 'LoggedOut', data: { sessionId } });
const openSessions = (...events: UserEvent[]) => {
  const { state } = given(registered, joined, ...events);
  return state.status === 'registered' ? state.sessions.map(({ sessionId }) => sessionId) : [];
};

describe('registering', () => {
  test('makes a person and their membership together', () =>
    given()
      .when({ type: 'register', data: { ...ada, tenant: 'acme' } })
      .then(registered, joined));

  test('happens once', () =>
    given(registered, joined)
      .when({ type: 'register', data: { ...ada, tenant: 'globex' } })
      .nothing());
});

describe('sessions', () => {
  test('are opened for those who registered', () => {
    given(registered, joined).when(open('laptop')).then(opened('laptop'));
    given().when(open('laptop')).refuses('bad_credentials');
  });

  test('end when one logs out, each by itself', () => {
    given(registered, joined, opened('laptop'), opened('phone')).when(logOut('laptop')).then(loggedOut('laptop'));
    expect(openSessions(opened('laptop'), opened('phone'), loggedOut('laptop'))).toEqual(['phone']);
  });

  test('end once', () =>
    given(registered, joined, opened('laptop'), loggedOut('laptop')).when(logOut('laptop')).nothing());

  test('twenty stay open, and the twenty-first ends the oldest', () => {
    const many = Array.from({ length: 20 }, (_, index) => opened(`s${index}`));
    expect(openSessions(...many)).toHaveLength(20);
    expect(openSessions(...many, opened('newest'))).toHaveLength(20);
    expect(openSessions(...many, opened('newest'))).not.toContain('s0');
    expect(openSessions(...many, opened('newest'))).toContain('newest');
  });
});
