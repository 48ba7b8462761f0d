import type { Result, TenantContext } from '@reef/contracts';
import type { Aggregate } from './aggregate.js';
import type { DomainEvent } from './decider.js';

export interface Intent<State, Command, E extends DomainEvent, Code extends string> {
  readonly aggregate: Aggregate<State, Command, E, Code>;
  readonly tenant: string;
  /** `<aggregate>/<key>`. */
  readonly stream: string;
  readonly command: Command;
  /** The stream's id is fresh and random, so there is nothing to load. A wrong claim costs a retry, not correctness. */
  readonly isNew?: boolean;
}

export interface ExecuteOptions {
  readonly context: TenantContext;
  /** When one request executes several commands, each needs an id of its own. The context's by default. */
  readonly commandId?: string;
  /** The reply holds a secret: it is kept sealed with the tenant's key. */
  readonly sealReply?: boolean;
}

export interface Outcome<State, E extends DomainEvent> {
  readonly state: State;
  readonly events: readonly E[];
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a queue holds intents of every aggregate
export type AnyIntent = Intent<any, any, any, any>;

/** A command in the store's hands, until it is committed or refused. */
export interface Waiting {
  readonly intents: readonly AnyIntent[];
  /** The intents' streams, as keys of the state cache. */
  readonly keys: readonly string[];
  readonly options: ExecuteOptions;
  readonly commandId: string;
  readonly reply: (outcomes: readonly Outcome<unknown, DomainEvent>[]) => unknown;
  readonly traceparent: string | null;
  readonly settle: (result: Result<unknown>) => void;
  readonly fail: (error: unknown) => void;
  attempts: number;
  /** Decided by itself since a commit it was part of broke. */
  alone: boolean;
}

/** A stream's state after so many events. */
export interface StreamState {
  state: unknown;
  version: number;
}

/** Tenants and streams hold no spaces. */
export const keyOf = (tenant: string, stream: string): string => `${tenant} ${stream}`;
