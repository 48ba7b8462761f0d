import { z } from 'zod';

/** The tenant of operations that belong to no tenant: sign-up, log-in, the price book. */
export const PLATFORM = 'platform';

const SLUG = /^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/;

/** A tenant's permanent name, at most 40 characters; also the second token of every subject (OpenClaw fleet's rule). */
export const tenantId = z.string().regex(SLUG, 'use 1–40 of a–z, 0–9 and -, not at the ends');
/** An agent's permanent name within its tenant; becomes a folder's name. */
export const agentId = z.string().regex(SLUG, 'use 1–40 of a–z, 0–9 and -, not at the ends');

/** The permanent name of anything else that is named once and shown in addresses. */
export const slug = z.string().regex(SLUG, 'use 1–40 of a–z, 0–9 and -, not at the ends');

export const uuid = z.uuid();
/** RFC 3339 in UTC, as written by `Date#toISOString`. */
export const instant = z.iso.datetime();
/** Text as PostgreSQL can keep it: neither NUL nor half a character. */
export const storedText = z
  .string()
  .refine((text) => text.isWellFormed() && !text.includes('\0'), 'NUL and lone surrogates are not allowed');

/** An end user of a tenant, in the tenant's own words. */
export const endUser = storedText.min(1).max(256);
/** A name shown to people. */
export const displayName = storedText.trim().min(1).max(100);
/** An OpenClaw session key, such as `agent:main:openai-user:ada`. */
export const sessionKey = z
  .string()
  .min(1)
  .max(400)
  .regex(/^[\x21-\x7e]+$/, 'printable ASCII without spaces');
export const count = z.int().nonnegative();
export const emptyObject = z.strictObject({});

/**
 * Money in pico-USD (10⁻¹² USD): a decimal string on the wire, a bigint inside. One pico-USD a token is one micro-USD per
 * million tokens, so every published price is an integer.
 */
export const picoUsd = z.codec(z.string().regex(/^-?\d{1,36}$/), z.bigint(), {
  decode: (text) => BigInt(text),
  encode: (amount) => amount.toString(),
});

/** Any quantity a limit can count: pico-USD, tokens, messages or requests. A decimal string on the wire. */
export const amount = picoUsd;

export const page = { limit: z.int().min(1).max(200).default(50), cursor: z.string().max(512).optional() };
export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.object({ items: z.array(item), nextCursor: z.string().nullable() });

const personalRegistry = z.registry<{ personal: true }>();

/**
 * Marks a field of an event as personal or secret. The event store keeps such a field encrypted with the tenant's key, and
 * only the service that wrote it can read it.
 */
export function personal<Schema extends z.ZodType>(schema: Schema): Schema {
  const marked = schema.clone() as Schema;
  personalRegistry.add(marked, { personal: true });
  return marked;
}

export function personalFieldsOf(data: z.ZodObject): string[] {
  return Object.entries(data.shape)
    .filter(([, field]) => isPersonal(field as z.ZodType))
    .map(([name]) => name);
}

function isPersonal(schema: z.ZodType): boolean {
  if (personalRegistry.has(schema)) return true;
  const inner = (schema as { _zod: { def: { innerType?: z.ZodType } } })._zod.def.innerType;
  return inner !== undefined && isPersonal(inner);
}
