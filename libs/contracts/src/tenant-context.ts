import { z } from 'zod';
import { tenantId } from './values.js';

/** What the edge vouches for: on whose behalf, and for which tenant, a message travels. */
export const contextClaims = z.object({
  /** Who signed: `edge`, or `dispatch` for work that outlives its request. */
  iss: z.enum(['edge', 'dispatch']),
  aud: z.literal('reef'),
  /** Seconds since the epoch. */
  iat: z.int(),
  exp: z.int(),
  tenant: tenantId,
  principal: z.object({
    kind: z.enum(['anonymous', 'user', 'key', 'platform', 'service']),
    id: z.string().max(200),
  }),
  /** The member's role in the tenant, or the operator's on the platform. */
  role: z.enum(['owner', 'admin', 'member', 'viewer', 'operator', 'none']),
});

export type ContextClaims = z.output<typeof contextClaims>;
export type Principal = ContextClaims['principal'];

/** A verified context together with the token that proves it to the next service. */
export interface TenantContext {
  readonly tenant: string;
  readonly principal: Principal;
  readonly role: ContextClaims['role'];
  /** The signed token; empty for work a service does on its own account and that never leaves it. */
  readonly token: string;
  /** Idempotency key of the command being handled: unique for the tenant and service. */
  readonly commandId: string;
  /** Hash of the command's payload, to tell a retry from another command under the same id; empty where none was sent. */
  readonly fingerprint: string;
  /** One id for everything that one outside request set in motion. */
  readonly correlationId: string;
  /** The event or command that led here. */
  readonly causationId: string | null;
  /** Absolute, ms since the epoch. */
  readonly deadlineMs: number;
}
