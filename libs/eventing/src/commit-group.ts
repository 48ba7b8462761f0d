import type { Refusal } from '@reef/contracts';
import { type DomainEvent, fold, isRefusal } from './decider.js';
import type { AnyIntent, StreamState, Waiting } from './intent.js';

/** What a command decided on one of its streams. */
export interface Decision {
  readonly intent: AnyIntent;
  readonly key: string;
  readonly events: readonly DomainEvent[];
  readonly state: unknown;
  readonly fromVersion: number;
}

/** Streams whose commands were decided on top of each other: they are committed together or not at all. */
export interface CommitGroup {
  readonly waiting: Waiting[];
  readonly decisions: Map<Waiting, { decisions: Decision[]; refusal: Refusal | null; reply: unknown }>;
  /** What the streams will be once this is committed. */
  readonly states: Map<string, StreamState>;
  /** What they must be in the database for it. */
  readonly baseVersions: Map<string, number>;
  /** A group of several streams takes no further commands. */
  readonly closed: boolean;
}

export function newGroup(closed: boolean): CommitGroup {
  return { waiting: [], decisions: new Map(), states: new Map(), baseVersions: new Map(), closed };
}

/** Decides a command on top of what the group decided so far. Throws what the decider throws, and then the group is as before. */
export function decideWithin(
  group: CommitGroup,
  waiting: Waiting,
  known: (key: string) => StreamState | undefined,
): void {
  const working = new Map<string, StreamState>();
  const decisions: Decision[] = [];
  let refusal: Refusal | null = null;
  for (const [index, intent] of waiting.intents.entries()) {
    const key = waiting.keys[index] ?? '';
    const current = working.get(key) ??
      group.states.get(key) ??
      known(key) ?? { state: intent.aggregate.decider.initial as unknown, version: 0 };
    if (!group.baseVersions.has(key)) group.baseVersions.set(key, current.version);
    const decision: readonly DomainEvent[] | Refusal = intent.aggregate.decider.decide(intent.command, current.state);
    if (isRefusal(decision)) {
      refusal = decision;
      break;
    }
    const state: unknown = fold(intent.aggregate.decider, current.state, decision);
    decisions.push({ intent, key, events: decision, state, fromVersion: current.version });
    working.set(key, { state, version: current.version + decision.length });
  }
  if (refusal) {
    group.decisions.set(waiting, { decisions: [], refusal, reply: undefined });
    return;
  }
  const reply = waiting.reply(decisions.map(({ state, events }) => ({ state, events })));
  for (const [key, state] of working) group.states.set(key, state);
  group.decisions.set(waiting, { decisions, refusal: null, reply });
}
