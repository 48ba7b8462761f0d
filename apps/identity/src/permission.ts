import { PLATFORM, type TenantContext } from '@reef/contracts';
import { refuse } from '@reef/eventing/pure';

type Role = TenantContext['role'];

/** Refuses a caller that has none of these roles in the tenant; null lets it through. */
export function unlessRole(context: TenantContext, ...roles: Role[]) {
  const may = context.tenant !== PLATFORM && roles.includes(context.role);
  return may ? null : refuse('forbidden', 'your role does not allow this');
}

/** Refuses a message that does not travel for the platform. */
export function unlessPlatform(context: TenantContext) {
  return context.tenant === PLATFORM ? null : refuse('forbidden', 'this is for the platform alone');
}

export function unlessOperator(context: TenantContext) {
  const may = context.tenant === PLATFORM && context.role === 'operator';
  return may ? null : refuse('forbidden', 'this is for operators alone');
}
