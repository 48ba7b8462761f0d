import { PLATFORM, type TenantContext } from '@reef/contracts';
import { refuse } from '@reef/eventing/pure';

/** Memories are the tenant's own: operators of the platform read and change none. Null lets a caller through. */
export function unlessTenant(context: TenantContext) {
  const outside = context.tenant === PLATFORM || context.role === 'operator';
  return outside ? refuse('forbidden', "a tenant's memories are its own") : null;
}

/** A viewer looks on. */
export function unlessMayChange(context: TenantContext) {
  return context.role === 'viewer' ? refuse('forbidden', 'your role does not allow this') : unlessTenant(context);
}
