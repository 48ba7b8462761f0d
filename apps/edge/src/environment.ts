import { z } from 'zod';

/** What the edge reads from its environment; OTEL_* is read by the tracing library itself. */
export const edgeEnvironment = z.object({
  PORT: z.coerce.number().int().min(0).max(65_535).default(8080),
  HOST: z.string().default('127.0.0.1'),
  NATS_URL: z.string().min(1),
  CONTEXT_SIGNING_KEY_FILE: z.string().min(1),
  /** Addresses of proxies whose X-Forwarded-* headers are believed, separated by commas. */
  TRUSTED_PROXIES: z.string().default('loopback'),
});
export type EdgeEnvironment = z.output<typeof edgeEnvironment>;
