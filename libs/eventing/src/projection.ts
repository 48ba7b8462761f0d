import type { DomainEvent } from './decider.js';

/** A column's value as it goes to PostgreSQL through JSON. */
export type Column =
  string | number | boolean | null | bigint | readonly unknown[] | { readonly [key: string]: unknown };
export type Row = Readonly<Record<string, Column>>;

/** A row to write (whole) or to delete (named by its key); `tenant_id` is added by the store. */
export type RowChange = { readonly upsert: Row } | { readonly delete: Row };

/**
 * A read model kept in the same transaction as the events. Every row belongs to one stream, and follows from the stream's
 * state and its newest events alone; so the store can write the rows of many streams in one statement, and a replay can
 * rebuild them stream by stream.
 */
export interface Projection<State, Event extends DomainEvent> {
  /** A table in the schema `view`, made by a migration. */
  readonly table: string;
  /** The columns of its primary key without `tenant_id`. */
  readonly key: readonly string[];
  /** Columns that hold personal text; the store seals them with the tenant's key. */
  readonly sealed?: readonly string[];
  rows(change: {
    readonly tenant: string;
    readonly stream: string;
    readonly state: State;
    readonly events: readonly Event[];
  }): RowChange[];
}
