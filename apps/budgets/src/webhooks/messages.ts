import type { budgets, EventOf, webhookMessageType } from '@reef/contracts';
import type { z } from 'zod';

export type MessageType = z.output<typeof webhookMessageType>;
type Crossed = EventOf<typeof budgets, 'ThresholdCrossed'>['data'];

/** What an endpoint receives: the same text at every attempt, for its signature is over the text. */
export interface Message {
  readonly messageId: string;
  readonly type: MessageType;
  readonly body: string;
}

const message = (messageId: string, type: MessageType, timestamp: string, data: object): Message => ({
  messageId,
  type,
  body: JSON.stringify({ type, timestamp, data }),
});

/** One event is one message, however often it arrives. Amounts are text: USD as decimals, all else whole numbers. */
export function thresholdMessage(eventId: string, tenant: string, { crossedAt, cap, posted, ...crossed }: Crossed) {
  const spell = (amount: bigint) => (crossed.unit === 'usd' ? usdOf(amount) : amount.toString());
  const data = { tenant, ...crossed, cap: spell(cap), posted: spell(posted) };
  return message(`msg_${eventId}`, 'budget.threshold', crossedAt, data);
}

export const testMessage = (id: string, tenant: string, webhookId: string, nowMs: number): Message =>
  message(`msg_${id}`, 'webhook.test', new Date(nowMs).toISOString(), { tenant, webhookId });

const PICO_DIGITS = 12;

function usdOf(amountPico: bigint): string {
  const text = amountPico.toString().padStart(PICO_DIGITS + 1, '0');
  const fraction = text.slice(-PICO_DIGITS).replace(/0+$/, '');
  return text.slice(0, -PICO_DIGITS) + (fraction && `.${fraction}`);
}
