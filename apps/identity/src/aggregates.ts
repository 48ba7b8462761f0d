import { identity } from '@reef/contracts';
import { type Aggregate, aggregate } from '@reef/eventing';
import type { DomainEvent } from '@reef/eventing/pure';
import { emailDecider } from './domain/email.js';
import { keyringDecider } from './domain/keyring.js';
import { tenantDecider } from './domain/tenant.js';
import { userDecider } from './domain/user.js';
import { apiKeysProjection } from './projections/api-keys.js';
import { membersProjection } from './projections/members.js';
import { tenantsProjection } from './projections/tenants.js';

const { events } = identity;

/** `tenant/<tenant>`, in the tenant. */
export const tenant = aggregate({
  name: 'tenant',
  decider: tenantDecider,
  events: {
    TenantCreated: events.TenantCreated,
    TenantSuspended: events.TenantSuspended,
    TenantResumed: events.TenantResumed,
    MemberJoined: events.MemberJoined,
  },
  projections: [tenantsProjection, membersProjection],
});

/** `keyring/<tenant>`, in the tenant. */
export const keyring = aggregate({
  name: 'keyring',
  decider: keyringDecider,
  events: { ApiKeyCreated: events.ApiKeyCreated, ApiKeyRevoked: events.ApiKeyRevoked },
  projections: [apiKeysProjection],
  snapshotEvery: 100,
});

/** `user/<userId>`, on the platform. */
export const user = aggregate({
  name: 'user',
  decider: userDecider,
  events: {
    UserRegistered: events.UserRegistered,
    TenantJoined: events.TenantJoined,
    LoginSucceeded: events.LoginSucceeded,
    LoggedOut: events.LoggedOut,
  },
  projections: [],
  snapshotEvery: 100,
});

/** `email/<HMAC of the address>`, on the platform. */
export const email = aggregate({
  name: 'email',
  decider: emailDecider,
  events: { EmailClaimed: events.EmailClaimed, LoginFailed: events.LoginFailed },
  projections: [],
  snapshotEvery: 100,
});

export const streamOf = {
  tenant: (tenantId: string) => `tenant/${tenantId}`,
  keyring: (tenantId: string) => `keyring/${tenantId}`,
  user: (userId: string) => `user/${userId}`,
  email: (addressHash: string) => `email/${addressHash}`,
};

/** One command on one stream, for `executeAll`: the command is checked against its aggregate. */
export function on<State, Command, E extends DomainEvent, Code extends string>(
  kind: Aggregate<State, Command, E, Code>,
  tenantId: string,
  stream: string,
  command: Command,
  isNew = false,
) {
  return { aggregate: kind, tenant: tenantId, stream, command, isNew };
}
