import type { InputOf, Refusal, Request, Result, ResultOf } from '@reef/contracts';
import type { RequestOptions } from '@reef/messaging';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Access, Caller } from '../auth/caller.js';
import type { Identity } from '../auth/contexts.js';
import type { Edge } from '../edge.js';

/** A handler that has answered by itself: a stream, a file, a redirect. */
export const SENT = Symbol('sent');

export interface Call<Params = unknown, Query = unknown, Body = unknown> {
  readonly edge: Edge;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly caller: Caller;
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  /** One id for all that this request sets in motion; also its x-request-id. */
  readonly requestId: string;
  readonly idempotencyKey: string | null;
  /** The same for a request that is repeated under one Idempotency-Key; otherwise new. */
  readonly commandId: string;
  /** Sends a message in the caller's name. */
  ask<Message extends Request>(
    message: Message,
    input: InputOf<Message>,
    options?: RequestOptions & { as?: Identity },
  ): Promise<ResultOf<Message>>;
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
/** A body that is not JSON: it reaches the handler as a stream. */
export const BYTES = 'bytes';

/** What a route answers when all is well. */
export interface Answer<Body extends z.ZodType = z.ZodType> {
  readonly status: 200 | 201 | 204 | 302;
  readonly body?: Body;
  /** Media types other than application/json. */
  readonly media?: readonly string[];
}

interface Declaration<
  Params extends z.ZodType,
  Query extends z.ZodType,
  Body extends z.ZodType | typeof BYTES,
  Output extends z.ZodType,
> {
  readonly method: Method;
  /** As OpenAPI writes it; `{name*}` takes the rest of the path. `{tenant}` of a tenant's route is checked with the credential. */
  readonly path: string;
  readonly summary: string;
  readonly access: Access;
  readonly params?: Params;
  readonly query?: Query;
  readonly body?: Body;
  readonly bodyBytesMax?: number;
  readonly answer: Answer<Output>;
  handle(
    call: Call<z.output<Params>, z.output<Query>, Body extends z.ZodType ? z.output<Body> : undefined>,
  ): Promise<Result<z.input<Output>> | typeof SENT>;
}

const nothing = z.strictObject({});
type Nothing = typeof nothing;

/** A declaration whose types have done their work. */
export interface Route {
  readonly method: Method;
  readonly path: string;
  readonly summary: string;
  readonly access: Access;
  readonly params: z.ZodType;
  readonly query: z.ZodType;
  readonly body: z.ZodType | typeof BYTES | null;
  readonly bodyBytesMax: number | null;
  readonly answer: Answer;
  handle(call: Call): Promise<Result<unknown> | typeof SENT>;
}

/** Declares a route once: the listening route, its checks, its types and its documentation are all made from it. */
export function route<
  Params extends z.ZodType = Nothing,
  Query extends z.ZodType = Nothing,
  Body extends z.ZodType | typeof BYTES = Nothing,
  Output extends z.ZodType = z.ZodType,
>(declared: Declaration<Params, Query, Body, Output>): Route {
  return {
    ...declared,
    params: declared.params ?? nothing,
    query: declared.query ?? nothing,
    body: declared.body ?? null,
    bodyBytesMax: declared.bodyBytesMax ?? null,
    handle: declared.handle as Route['handle'],
  };
}

export const ok = <Value>(value: Value): { readonly ok: true; readonly value: Value } => ({ ok: true, value });

/** Applies `shape` to a success and lets a refusal through. */
export function andThen<From, To>(result: Result<From>, shape: (value: From) => To): Result<To> {
  return result.ok ? ok(shape(result.value)) : (result as Refusal);
}

/** `?limit=&cursor=`; the contract's own bounds, read from text. */
export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(512).optional(),
};
