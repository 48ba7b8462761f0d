import type { Refusal } from '@reef/contracts';

/** Something that happened, as domain code sees it. */
export interface DomainEvent {
  readonly type: string;
  readonly data: object;
}

/**
 * The heart of an aggregate, without I/O, clock or chance: `decide` answers a command with events or a refusal, `evolve`
 * folds an event into the state (Chassaing's functional event sourcing). Time and ids arrive with the command.
 */
export interface Decider<State, Command, Event extends DomainEvent, Code extends string = string> {
  readonly initial: State;
  decide(command: Command, state: State): readonly Event[] | Refusal<Code>;
  evolve(state: State, event: Event): State;
}

/** Says no: the code is what a caller branches on, the message is for people, the details are the numbers behind it. */
export function refuse<Code extends string>(
  code: Code,
  message: string,
  details?: Readonly<Record<string, unknown>>,
): Refusal<Code> {
  return details ? { ok: false, code, message, details } : { ok: false, code, message };
}

export function isRefusal(decision: readonly DomainEvent[] | Refusal): decision is Refusal {
  return !Array.isArray(decision);
}

/** Ends a switch over a union: a case that was forgotten is a compile error here. */
export function unreachable(never: never): never {
  throw new Error(`unreachable: ${JSON.stringify(never)}`);
}

/** The state after these events. */
export function fold<State, Event extends DomainEvent>(
  decider: Pick<Decider<State, never, Event>, 'evolve'>,
  state: State,
  events: Iterable<Event>,
): State {
  let folded = state;
  for (const event of events) folded = decider.evolve(folded, event);
  return folded;
}
