import { type OutputOf, type Request, type Result, type ResultOf, TRANSPORT_REFUSALS } from '@reef/contracts';

const always: readonly string[] = TRANSPORT_REFUSALS;

/**
 * A result of several deciders as the answer that one message's contract allows.
 * @throws on a refusal that the contract does not list: a bug.
 */
export function within<Message extends Request>(
  message: Message,
  result: Result<OutputOf<Message>>,
): ResultOf<Message> {
  if (!result.ok && !message.refusals.includes(result.code) && !always.includes(result.code)) {
    throw new Error(`${message.service}.${message.name} may not be refused as ${result.code}`);
  }
  return result as ResultOf<Message>;
}
