import { type OutputOf, type Request, type Result, type ResultOf, TRANSPORT_REFUSALS } from '@reef/contracts';

const TRANSPORT: ReadonlySet<string> = new Set(TRANSPORT_REFUSALS);

/**
 * A result as its message's contract lists it. A decider's codes are shared by its commands.
 * @throws on a refusal that the contract does not list: a bug.
 */
export function contracted<Message extends Request>(
  message: Message,
  result: Result<OutputOf<Message>>,
): ResultOf<Message> {
  if (!result.ok && !TRANSPORT.has(result.code) && !message.refusals.includes(result.code)) {
    throw new Error(
      `${message.service}.${message.name} was refused as ${result.code}, which its contract does not list`,
    );
  }
  return result as ResultOf<Message>;
}
