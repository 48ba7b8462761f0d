import { budgets, dispatch } from '@reef/contracts';
import { delivered, type FeedEvent } from '@reef/messaging';
import { type Call, type CallEvent, callOf, joinCalls } from '../domain/call.js';
import { joinTurns, type Turn, type TurnEvent, turnOf, turnOfCall } from '../domain/turn.js';

/** What a batch of events says, one fact for each call and turn. */
export interface Facts {
  readonly calls: readonly (Call & { tenant: string })[];
  readonly turns: readonly (Turn & { tenant: string })[];
  /** Events that do not match their contract: they are in the audit and nowhere else. */
  readonly unreadable: readonly FeedEvent[];
}

const { Reserved, Released, ReservationExpired, Settled, SettlementAdjusted } = budgets.events;
const { TurnRequested, TurnStarted, TurnCompleted, TurnFailed, TurnCancelled } = dispatch.events;
const nameOf = ({ service, type }: { service: string; type: string }) => `${service}.${type}`;
const byName = <E extends { service: string; name: string }>(events: readonly E[]) =>
  new Map(events.map((event) => [nameOf({ service: event.service, type: event.name }), event]));
const callEvents = byName([Reserved, Released, ReservationExpired, Settled, SettlementAdjusted]);
const turnEvents = byName([TurnRequested, TurnStarted, TurnCompleted, TurnFailed, TurnCancelled]);

/** Reads the events that calls and turns follow from; the others say nothing here. */
export function factsOf(events: readonly FeedEvent[]): Facts {
  const calls = new Map<string, Call & { tenant: string }>();
  const turns = new Map<string, Turn & { tenant: string }>();
  const unreadable: FeedEvent[] = [];

  const addTurn = (tenant: string, turn: Turn) => {
    const key = `${tenant} ${turn.turnId}`;
    const known = turns.get(key);
    turns.set(key, { ...(known ? joinTurns(known, turn) : turn), tenant });
  };
  const addCall = (tenant: string, call: Call) => {
    const key = `${tenant} ${call.reservationId}`;
    const known = calls.get(key);
    calls.set(key, { ...(known ? joinCalls(known, call) : call), tenant });
    addTurn(tenant, turnOfCall(call));
  };

  for (const event of events) {
    const [callContract, turnContract] = [callEvents.get(nameOf(event)), turnEvents.get(nameOf(event))];
    if (!callContract && !turnContract) continue;
    try {
      if (callContract) addCall(event.tenant, callOf(delivered(callContract, event) as unknown as CallEvent));
      if (turnContract) addTurn(event.tenant, turnOf(delivered(turnContract, event) as unknown as TurnEvent));
    } catch {
      unreadable.push(event); // One bad event must not hold up everybody's feed.
    }
  }
  return { calls: [...calls.values()], turns: [...turns.values()], unreadable };
}
