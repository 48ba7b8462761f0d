import type { EventOf, identity } from '@reef/contracts';
import { type Decider, refuse, unreachable } from '@reef/eventing/pure';

export type TenantEvent = EventOf<
  typeof identity,
  'TenantCreated' | 'TenantSuspended' | 'TenantResumed' | 'MemberJoined'
>;
export type Role = EventOf<typeof identity, 'MemberJoined'>['data']['role'];

export type Tenant =
  | { readonly status: 'absent' }
  | {
      readonly status: 'active' | 'suspended';
      readonly createdAt: string;
      readonly members: Readonly<Record<string, Role>>;
    };

export type TenantCommand =
  | {
      readonly type: 'create';
      readonly data: {
        readonly tenant: string;
        readonly ownerUserId: string;
        readonly ownerEmail: string;
        readonly createdAt: string;
      };
    }
  | { readonly type: 'suspend'; readonly data: { readonly reason: string } }
  | { readonly type: 'resume' };

const notFound = () => refuse('tenant_not_found', 'there is no such tenant');

/** A tenant: that it exists, who belongs to it, and whether it may work. */
export const tenantDecider: Decider<Tenant, TenantCommand, TenantEvent, 'tenant_taken' | 'tenant_not_found'> = {
  initial: { status: 'absent' },
  decide(command, state) {
    switch (command.type) {
      case 'create': {
        if (state.status !== 'absent') return refuse('tenant_taken', 'this tenant name is taken');
        const { tenant, ownerUserId, ownerEmail, createdAt } = command.data;
        return [
          { type: 'TenantCreated', data: { tenant, ownerUserId, createdAt } },
          {
            type: 'MemberJoined',
            data: { userId: ownerUserId, role: 'owner', email: ownerEmail, joinedAt: createdAt },
          },
        ];
      }
      case 'suspend':
        if (state.status === 'absent') return notFound();
        return state.status === 'suspended' ? [] : [{ type: 'TenantSuspended', data: command.data }];
      case 'resume':
        if (state.status === 'absent') return notFound();
        return state.status === 'active' ? [] : [{ type: 'TenantResumed', data: {} }];
      default:
        return unreachable(command);
    }
  },
  evolve(state, event) {
    if (event.type === 'TenantCreated') return { status: 'active', createdAt: event.data.createdAt, members: {} };
    if (state.status === 'absent') return state;
    switch (event.type) {
      case 'TenantSuspended':
        return { ...state, status: 'suspended' };
      case 'TenantResumed':
        return { ...state, status: 'active' };
      case 'MemberJoined':
        return { ...state, members: { ...state.members, [event.data.userId]: event.data.role } };
      default:
        return unreachable(event);
    }
  },
};
