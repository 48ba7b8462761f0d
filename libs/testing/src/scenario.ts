import { expect } from '@jest/globals';
import { type Decider, type DomainEvent, fold, isRefusal } from '@reef/eventing';

export interface When<Event, Code extends string> {
  /** Exactly these events follow. */
  then(...events: Event[]): void;
  /** Nothing happens: it was done already. */
  nothing(): void;
  /** The command is refused under this code; details are compared where given. */
  refuses(code: Code, details?: Record<string, unknown>): void;
}

/** Given what happened, when a command comes, then …: tests of a decider that read as statements about the business. */
export function scenario<State, Command, Event extends DomainEvent, Code extends string>(
  decider: Decider<State, Command, Event, Code>,
): (...events: Event[]) => { when(command: Command): When<Event, Code>; state: State } {
  return (...events) => {
    const state = fold(decider, decider.initial, events);
    return {
      state,
      when: (command) => {
        const decision = decider.decide(command, state);
        return {
          then: (...expected) => {
            expect(decision).toEqual(expected);
            fold(decider, state, expected); // What is decided must also be foldable.
          },
          nothing: () => expect(decision).toEqual([]),
          refuses: (code, details) => {
            expect(isRefusal(decision) ? decision.code : decision).toBe(code);
            if (details && isRefusal(decision)) expect(decision.details).toMatchObject(details);
          },
        };
      },
    };
  };
}
