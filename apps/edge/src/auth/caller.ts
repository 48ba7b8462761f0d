import { type ContextClaims, PLATFORM, type Principal, type Refusal, type Result } from '@reef/contracts';
import { NOT_FOUND, refused } from '../http/refusals.js';
import type { Authenticated } from './authenticator.js';
import { ANYBODY, type Identity } from './contexts.js';

export type Role = 'viewer' | 'member' | 'admin' | 'owner';
const RANK: Record<Role, number> = { viewer: 0, member: 1, admin: 2, owner: 3 };

/**
 * Who may come in:
 * `public` anybody; `account` anybody we know; `tenant` members of the tenant in the path; `agents` members, the tenant being the
 * key's own; `platform` operators, who in turn see no tenant's things.
 */
export type Access =
  { readonly plane: 'public' | 'account' | 'platform' } | { readonly plane: 'tenant' | 'agents'; readonly role: Role };

/** The one on whose behalf a request is carried out. */
export interface Caller extends Identity {
  readonly tenants: Authenticated['tenants'];
}

export const VISITOR: Caller = { ...ANYBODY, tenants: [] };

const MEMBERS_ONLY = (role: Role): Refusal => refused('forbidden', `this needs the role ${role}`);
const OPERATORS_ONLY = refused('forbidden', 'this is for operators of the platform');
const SUSPENDED = refused('tenant_suspended', 'this tenant is suspended');

/** Decides whether the one behind a credential may use a route. Pure: what it may read is all in its arguments. */
export function admit(known: Authenticated, access: Access, tenantInPath: string | undefined): Result<Caller> {
  const { principal, tenants } = known;
  switch (access.plane) {
    case 'public':
    case 'account':
      return caller({ tenant: PLATFORM, principal, role: principal.kind === 'platform' ? 'operator' : 'none' }, known);
    case 'platform':
      if (principal.kind !== 'platform') return OPERATORS_ONLY;
      return caller({ tenant: PLATFORM, principal, role: 'operator' }, known);
    case 'tenant': {
      const membership = tenants.find(({ tenant }) => tenant === tenantInPath);
      return membership ? member(membership, access.role, principal, known) : NOT_FOUND;
    }
    case 'agents': {
      const [membership, ...others] = tenants;
      if (!membership) return refused('forbidden', 'this credential belongs to no tenant');
      if (others.length > 0) return refused('tenant_ambiguous', 'you belong to several tenants: use an API key of one');
      return member(membership, access.role, principal, known);
    }
  }
}

function member(
  { tenant, role, suspended }: Authenticated['tenants'][number],
  needed: Role,
  principal: Principal,
  known: Authenticated,
): Result<Caller> {
  if (suspended) return SUSPENDED;
  if (RANK[role] < RANK[needed]) return MEMBERS_ONLY(needed);
  return caller({ tenant, principal, role }, known);
}

const caller = (
  identity: { tenant: string; principal: Principal; role: ContextClaims['role'] },
  { tenants }: Authenticated,
): Result<Caller> => ({ ok: true, value: { ...identity, tenants } });
