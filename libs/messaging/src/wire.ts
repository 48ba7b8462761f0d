import type { z } from 'zod';

/** Headers of Reef's messages; the payload is bare JSON. */
export const HEADER = {
  context: 'reef-context',
  commandId: 'reef-command-id',
  correlationId: 'reef-correlation-id',
  causationId: 'reef-causation-id',
  /** Absolute, ms since the epoch. */
  deadline: 'reef-deadline',
  traceparent: 'traceparent',
  tracestate: 'tracestate',
} as const;

/** NATS' default payload limit is 1 MiB; what is larger travels in pieces. */
export const PAYLOAD_BYTES_MAX = 1_000_000;

const codecs = new WeakMap<z.ZodType, boolean>();

/** Turns a value into JSON as its contract spells it: bigints become decimal strings. */
export function toJson(schema: z.ZodType, value: unknown): string {
  return JSON.stringify(hasCodec(schema) ? schema.encode(value) : value);
}

/** Whether a schema's JSON differs from its value anywhere; most do not, and skip the encoder. */
export function hasCodec(schema: z.ZodType): boolean {
  const known = codecs.get(schema);
  if (known !== undefined) return known;
  codecs.set(schema, false); // Ends recursion on schemas that contain themselves.
  const { def } = (schema as unknown as { _zod: { def: Record<string, unknown> } })._zod;
  const found = def['type'] === 'pipe' || children(def).some(hasCodec);
  codecs.set(schema, found);
  return found;
}

function children(def: Record<string, unknown>): z.ZodType[] {
  return Object.values(def).flatMap((part) => {
    if (isSchema(part)) return [part];
    if (Array.isArray(part)) return part.filter(isSchema);
    if (typeof part === 'object' && part !== null) return Object.values(part).filter(isSchema);
    return [];
  });
}

function isSchema(value: unknown): value is z.ZodType {
  return typeof value === 'object' && value !== null && '_zod' in value;
}
