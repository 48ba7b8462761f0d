import type { TenantContext } from '@reef/contracts';
import { newId } from '@reef/messaging';

/** A context for work a service does on its own account: sweeping, seeding. It carries no token, so it cannot leave the process. */
export function serviceContext(tenant: string, service: string, commandId: string = newId()): TenantContext {
  return {
    tenant,
    principal: { kind: 'service', id: service },
    role: 'none',
    token: '',
    commandId,
    fingerprint: '',
    correlationId: commandId,
    causationId: null,
    deadlineMs: Infinity,
  };
}
