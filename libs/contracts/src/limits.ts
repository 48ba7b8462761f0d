import { z } from 'zod';
import { amount, instant } from './values.js';

export const limitScope = z.enum(['tenant', 'agent', 'user', 'key']);
export const limitWindow = z.enum(['hour', 'day', 'week', 'month', 'total']);
export const limitUnit = z.enum(['usd', 'tokens', 'messages', 'requests']);

/** A cap on what a scope may use within a window of the tenant's time zone. USD caps are in pico-USD, the others are plain counts. */
export const limit = z.strictObject({
  scope: limitScope,
  /** Which agent, user or key; absent for the tenant. A limit on every agent alike is `*`. */
  scopeId: z.string().min(1).max(256).nullable().default(null),
  window: limitWindow,
  unit: limitUnit,
  cap: amount,
  /** A soft limit is reported and never refuses. */
  hard: z.boolean().default(true),
});

export const limitStanding = z.object({
  scope: limitScope,
  scopeId: z.string().nullable(),
  window: limitWindow,
  unit: limitUnit,
  /** With what is left of top-ups, where they extend it. */
  cap: amount,
  posted: amount,
  held: amount,
  left: amount,
  windowEndsAt: instant.nullable(),
  hard: z.boolean(),
  /** Who set it: the plan, or the tenant itself. */
  setBy: z.enum(['plan', 'tenant']),
});

export const pressure = z.object({
  /** (posted + held) ÷ cap of the tightest hard limit; 0–1, more if a limit was lowered below what is spent. */
  utilisation: z.number().nonnegative(),
  step: z.enum(['free', 'paced', 'background_waits', 'interactive_only', 'refused']),
});

/** IANA, such as `Europe/Berlin`. Whether it exists is decided by the service. */
export const timeZone = z
  .string()
  .max(64)
  .regex(/^[A-Za-z][A-Za-z0-9_+/-]*$/, 'use an IANA time zone, such as Europe/Berlin');
