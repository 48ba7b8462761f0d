import { type attribution as attributionSchema, budgets, dispatch, type Event } from '@reef/contracts';
import { type FeedEvent, newId } from '@reef/messaging';
import type { TestService } from '@reef/testing';
import type { z } from 'zod';

type Attribution = z.input<typeof attributionSchema>;

/** A turn as dispatch and budgets tell it, event by event; the caller chooses what to tell, when and how often. */
export function turn(who: { agent?: string; user?: string | null; model?: string; at?: string } = {}) {
  const { agent = 'main', user = 'ada', model = 'openai/gpt-5', at = '2026-11-22T10:00:00.000Z' } = who;
  const turnId = newId();
  const attribution: Attribution = { turnId, agent, user, session: `s-${turnId}`, keyId: null, model, source: 'chat' };
  const { events } = dispatch;
  return {
    turnId,
    requested: told(events.TurnRequested, {
      turnId,
      agent,
      user,
      session: attribution.session,
      message: '1.c2VhbGVk',
      model,
      source: 'chat',
      keyId: null,
      worker: 'one',
      requestedAt: at,
      startsNow: false,
    }),
    started: told(events.TurnStarted, { turnId, worker: 'one', startedAt: at }),
    completed: told(events.TurnCompleted, {
      turnId,
      reply: '1.c2VhbGVk',
      usage: null,
      completedAt: at,
      calls: [],
      tools: [],
    }),
    call: () => call(attribution, at),
  };
}

function call(attribution: Attribution, at: string) {
  const { events } = budgets;
  const base = { reservationId: newId(), attribution, heldPico: '900', reservedAt: at };
  const usage = { inputTokens: 100, cacheReadTokens: 20, cacheWriteTokens: 3, outputTokens: 50, reasoningTokens: 7 };
  const price = { model: 'openai/gpt-5', inputPico: '1', cacheReadPico: '1', cacheWritePico: '1', outputPico: '4' };
  return {
    reserved: told(events.Reserved, {
      ...base,
      inputTokensMax: 100,
      outputTokensMax: 200,
      firstOfTurn: true,
      price,
      priceVersion: 1,
      worker: 'one',
      expiresAt: at,
    }),
    released: told(events.Released, { ...base, releasedAt: at }),
    expired: told(events.ReservationExpired, { ...base, usage, costPico: '900', priceVersion: 1, expiredAt: at }),
    settled: (costPico: string) =>
      told(events.Settled, {
        ...base,
        outcome: 'completed',
        usage,
        costPico,
        estimated: false,
        providerExcessTokens: 0,
        priceVersion: 1,
        settledAt: at,
      }),
  };
}

/** An event with its id: told twice, it is the same event. */
export interface Told {
  readonly event: Event;
  readonly data: Record<string, unknown>;
  readonly id: Pick<FeedEvent, 'eventId' | 'commandId' | 'correlationId'>;
}

/** The data is checked against the contract, so that a new field there is a compile error here. */
function told<E extends Event>(event: E, data: z.input<E['data']>): Told {
  return { event, data, id: { eventId: newId(), commandId: newId(), correlationId: newId() } };
}

export async function tell(service: TestService, tenant: string, ...events: readonly Told[]): Promise<void> {
  for (const { event, data, id } of events) await service.publish(event, tenant, data, id);
}
