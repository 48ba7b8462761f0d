import type { Event } from '@reef/contracts';
import type { Decider, DomainEvent } from './decider.js';
import type { Projection } from './projection.js';

/** A kind of stream: its decider, the events it may hold, and the read models that follow from it. */
export interface Aggregate<
  State = never,
  Command = never,
  E extends DomainEvent = never,
  Code extends string = string,
> {
  /** First part of its stream ids: `budget` in `budget/2026-11`. */
  readonly name: string;
  readonly decider: Decider<State, Command, E, Code>;
  readonly events: Readonly<Record<E['type'], Event>>;
  readonly projections: readonly Projection<State, E>[];
  /** A snapshot is written every so many events; none by default, for streams that stay short. */
  readonly snapshotEvery?: number;
  /** Raised when the state's shape changes, so that older snapshots are not read. 1 by default. */
  readonly snapshotShape?: number;
}

/** Declares an aggregate; infers the rest from its decider. */
export function aggregate<State, Command, E extends DomainEvent, Code extends string>(
  spec: Aggregate<State, Command, E, Code>,
): Aggregate<State, Command, E, Code> {
  return spec;
}

// Lists hold aggregates of every kind; their states are not comparable, so the list's element type forgets them.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type AnyAggregate = Aggregate<any, any, any, any>;
