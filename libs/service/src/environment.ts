import { z } from 'zod';

/** Reads a service's settings from the environment; what is wrong is said at once, by name, and ends the process. */
export function environment<Shape extends z.ZodObject>(
  shape: Shape,
  from: NodeJS.ProcessEnv = process.env,
): z.output<Shape> {
  const parsed = shape.safeParse(from);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw new Error(`the environment is not complete:\n  ${faults.join('\n  ')}`);
}

/** What every service that keeps state needs. */
export const serviceEnvironment = z.object({
  /** The service's own role in its own database. */
  DATABASE_URL: z.string().min(1),
  /** The role that may read all tenants: relay and sweepers. */
  DATABASE_FEED_URL: z.string().min(1),
  NATS_URL: z.string().min(1),
  /** Health, readiness and metrics; 0 takes a free port. */
  OPS_PORT: z.coerce.number().int().min(0).max(65_535).default(0),
  OPS_HOST: z.string().default('127.0.0.1'),
  /** Public keys of those who may vouch for a tenant context (JWK set). */
  CONTEXT_JWKS_FILE: z.string().min(1),
  MASTER_KEY_FILE: z.string().min(1),
});
export type ServiceEnvironment = z.output<typeof serviceEnvironment>;
