import type { z } from 'zod';
import { personalFieldsOf } from './values.js';

/** Why a request was not carried out. "No" is a value: handlers return it, nobody throws it. */
export interface Refusal<Code extends string = string> {
  readonly ok: false;
  readonly code: Code;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

export interface Success<Value> {
  readonly ok: true;
  readonly value: Value;
}

/** Refusals that any request may meet on its way; a contract lists only its own. */
export const TRANSPORT_REFUSALS = [
  'invalid_input', // The payload does not match the contract.
  'unauthenticated', // No tenant context, a forged, expired or foreign one.
  'forbidden', // The principal may not do this.
  'deadline_exceeded', // Nobody waits for the answer any more.
  'unavailable', // No instance of the service answered.
  'overloaded', // A queue is full; try again later.
  'conflict', // Lost against other writers too many times in a row.
  'command_id_reused', // The same idempotency key came with another input.
  'internal', // A bug; the log has it under the trace id.
] as const;
export type TransportRefusal = (typeof TRANSPORT_REFUSALS)[number];

export type Result<Value, Code extends string = string> = Success<Value> | Refusal<Code | TransportRefusal>;

interface RequestSpec {
  readonly input: z.ZodType;
  readonly output: z.ZodType;
  readonly refusals: readonly string[];
}

interface EventSpec {
  /** The shape of today's events; older ones are lifted to it by `upcast`. */
  readonly data: z.ZodObject;
  readonly schemaVersion: number;
  /** `upcast[n]` lifts stored JSON of version n to version n + 1. */
  readonly upcast: Readonly<Record<number, (data: Record<string, unknown>) => Record<string, unknown>>>;
}

type Named<Service extends string, Name extends string> = {
  readonly service: Service;
  readonly name: Name;
  /** Where one tenant's messages of this kind travel. */
  subject(tenant: string): string;
  /** Where a service listens for every tenant's. */
  readonly pattern: string;
};

export type Command<
  Spec extends RequestSpec = RequestSpec,
  Service extends string = string,
  Name extends string = string,
> = Spec & Named<Service, Name> & { readonly kind: 'cmd' };
export type Query<
  Spec extends RequestSpec = RequestSpec,
  Service extends string = string,
  Name extends string = string,
> = Spec & Named<Service, Name> & { readonly kind: 'qry' };
export type Request = Command | Query;
export type Event<
  Spec extends EventSpec = EventSpec,
  Service extends string = string,
  Name extends string = string,
> = Spec & Named<Service, Name> & { readonly kind: 'evt'; readonly personalFields: readonly string[] };

/** What a handler is given and a caller passes. */
export type InputOf<Message extends { readonly input: z.ZodType }> = z.output<Message['input']>;
export type OutputOf<Message extends { readonly output: z.ZodType }> = z.output<Message['output']>;
export type RefusalOf<Message extends { readonly refusals: readonly string[] }> = Message['refusals'][number];
export type ResultOf<Message extends RequestSpec> = Result<OutputOf<Message>, RefusalOf<Message>>;

/** The union of a service's events as deciders see them: `{ type: 'Reserved', data: … }`. */
export type EventOf<
  Contract extends { readonly events: Record<string, EventSpec> },
  Names extends keyof Contract['events'] = keyof Contract['events'],
> = { [Name in Names]: { readonly type: Name; readonly data: z.output<Contract['events'][Name]['data']> } }[Names];

export function command<
  I extends z.ZodType,
  O extends z.ZodType,
  const R extends readonly string[] = readonly [],
>(spec: { input: I; output: O; refusals?: R }): { input: I; output: O; refusals: R } {
  return { input: spec.input, output: spec.output, refusals: spec.refusals ?? ([] as unknown as R) };
}

export const query = command;

export function event<D extends z.ZodObject>(
  data: D,
  version: { schemaVersion: number; upcast: EventSpec['upcast'] } = { schemaVersion: 1, upcast: {} },
): { data: D; schemaVersion: number; upcast: EventSpec['upcast'] } {
  for (let from = 1; from < version.schemaVersion; from++) {
    if (!version.upcast[from])
      throw new Error(`an event of schema version ${version.schemaVersion} needs upcast[${from}]`);
  }
  return { data, ...version };
}

export type ServiceContract<
  Service extends string = string,
  C extends Record<string, RequestSpec> = Record<string, RequestSpec>,
  Q extends Record<string, RequestSpec> = Record<string, RequestSpec>,
  E extends Record<string, EventSpec> = Record<string, EventSpec>,
> = {
  readonly service: Service;
  readonly commands: { readonly [Name in keyof C & string]: Command<C[Name], Service, Name> };
  readonly queries: { readonly [Name in keyof Q & string]: Query<Q[Name], Service, Name> };
  readonly events: { readonly [Name in keyof E & string]: Event<E[Name], Service, Name> };
};

/**
 * Declares all that may be said to and by a service. Subjects, parsers and static types are inferred from it:
 * `tenant.{tenant}.{service}.cmd.{command}`, `….qry.{query}`, `….evt.{Event}`.
 */
export function service<
  const Service extends string,
  C extends Record<string, RequestSpec>,
  Q extends Record<string, RequestSpec>,
  E extends Record<string, EventSpec>,
>(name: Service, spec: { commands: C; queries: Q; events: E }): ServiceContract<Service, C, Q, E> {
  const named = <Messages>(kind: 'cmd' | 'qry' | 'evt', messages: Record<string, object>): Messages =>
    Object.fromEntries<unknown>(
      Object.entries(messages).map(([messageName, message]) => [
        messageName,
        {
          ...message,
          ...(kind === 'evt' && { personalFields: personalFieldsOf((message as EventSpec).data) }),
          kind,
          service: name,
          name: messageName,
          pattern: `tenant.*.${name}.${kind}.${messageName}`,
          subject: (tenant: string) => `tenant.${tenant}.${name}.${kind}.${messageName}`,
        },
      ]),
    ) as Messages;
  return {
    service: name,
    commands: named('cmd', spec.commands),
    queries: named('qry', spec.queries),
    events: named('evt', spec.events),
  };
}
