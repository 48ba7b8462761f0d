import { type OutputOf, type Request, type Result, type ResultOf, TRANSPORT_REFUSALS } from '@reef/contracts';

/** Narrows a result to the refusals that a message's contract lists; any other is a bug here. */
export function resultOf<Message extends Request>(
  message: Message,
  result: Result<OutputOf<Message>, string>,
): ResultOf<Message> {
  if (!result.ok && !message.refusals.includes(result.code) && !TRANSPORT_REFUSALS.some((code) => code === result.code))
    throw new Error(`${message.name} has no refusal ${result.code}`);
  return result as ResultOf<Message>;
}
