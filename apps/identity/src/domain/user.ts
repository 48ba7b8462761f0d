import type { EventOf, identity } from '@reef/contracts';
import { type Decider, refuse, unreachable } from '@reef/eventing/pure';
import type { Role } from './tenant.js';

/** The newest sessions stay open; one more log-in ends the oldest. */
export const SESSIONS_MAX = 20;

export type UserEvent = EventOf<typeof identity, 'UserRegistered' | 'TenantJoined' | 'LoginSucceeded' | 'LoggedOut'>;
export type Session = EventOf<typeof identity, 'LoginSucceeded'>['data'];
type Registration = EventOf<typeof identity, 'UserRegistered'>['data'];

export type User =
  | { readonly status: 'unregistered' }
  | ({
      readonly status: 'registered';
      readonly tenants: Readonly<Record<string, Role>>;
      readonly sessions: readonly Session[];
    } & Registration);

export type UserCommand =
  | { readonly type: 'register'; readonly data: Registration & { readonly tenant: string } }
  | { readonly type: 'openSession'; readonly data: Session }
  | { readonly type: 'logOut'; readonly data: { readonly sessionId: string } };

/** A person: who they are, how they prove it, which tenants they belong to and where they are logged in. */
export const userDecider: Decider<User, UserCommand, UserEvent, 'bad_credentials'> = {
  initial: { status: 'unregistered' },
  decide(command, state) {
    switch (command.type) {
      case 'register': {
        if (state.status === 'registered') return [];
        const { tenant, ...registration } = command.data;
        return [
          { type: 'UserRegistered', data: registration },
          { type: 'TenantJoined', data: { tenant, role: 'owner' } },
        ];
      }
      case 'openSession':
        if (state.status !== 'registered')
          return refuse('bad_credentials', 'the e-mail address or the password is wrong');
        return [{ type: 'LoginSucceeded', data: command.data }];
      case 'logOut': {
        const { sessionId } = command.data;
        const open = state.status === 'registered' && state.sessions.some((session) => session.sessionId === sessionId);
        return open ? [{ type: 'LoggedOut', data: { sessionId } }] : [];
      }
      default:
        return unreachable(command);
    }
  },
  evolve(state, event) {
    if (event.type === 'UserRegistered') return { status: 'registered', ...event.data, tenants: {}, sessions: [] };
    if (state.status === 'unregistered') return state;
    switch (event.type) {
      case 'TenantJoined':
        return { ...state, tenants: { ...state.tenants, [event.data.tenant]: event.data.role } };
      case 'LoginSucceeded':
        return { ...state, sessions: [...state.sessions, event.data].slice(-SESSIONS_MAX) };
      case 'LoggedOut':
        return { ...state, sessions: state.sessions.filter(({ sessionId }) => sessionId !== event.data.sessionId) };
      default:
        return unreachable(event);
    }
  },
};
