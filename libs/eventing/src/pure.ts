export { type Decider, type DomainEvent, fold, isRefusal, refuse, unreachable } from './decider.js';
export type { Column, Projection, Row, RowChange } from './projection.js';
