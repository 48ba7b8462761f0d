import type {
  Command as CommandContract,
  Event,
  Query as QueryContract,
  ResultOf,
  InputOf,
  TenantContext,
} from '@reef/contracts';
import { Ctx, EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import type { z } from 'zod';

/** An event as it arrives from another service. Its personal fields are absent: only their owner can read them. */
export interface Delivered<E extends Event = Event> {
  readonly eventId: string;
  readonly tenant: string;
  readonly service: string;
  readonly stream: string;
  readonly version: number;
  readonly type: E['name'];
  readonly data: z.output<E['data']>;
  readonly actor: string;
  readonly occurredAt: string;
}

type RequestHandler<Message extends CommandContract | QueryContract> = <
  Answer extends ResultOf<Message> | Promise<ResultOf<Message>>,
>(
  target: object,
  key: string,
  descriptor: TypedPropertyDescriptor<(input: InputOf<Message>, context: TenantContext) => Answer>,
) => void;

type EventHandler<E extends Event> = (
  target: object,
  key: string,
  descriptor: TypedPropertyDescriptor<(event: Delivered<E>, context: TenantContext) => Promise<void>>,
) => void;

const withParameters = (target: object, key: string) => {
  Payload()(target, key, 0);
  Ctx()(target, key, 1);
};

/** Handles a command of the contract: `method(input, context)` returns a `Result`. */
export function Command<Message extends CommandContract>(message: Message): RequestHandler<Message> {
  return (target, key, descriptor) => {
    withParameters(target, key);
    MessagePattern(message.pattern, { message })(target, key, descriptor);
  };
}

/** Answers a query of the contract: `method(input, context)` returns a `Result` and changes nothing. */
export function Query<Message extends QueryContract>(message: Message): RequestHandler<Message> {
  return (target, key, descriptor) => {
    withParameters(target, key);
    MessagePattern(message.pattern, { message })(target, key, descriptor);
  };
}

/**
 * Reacts to an event of another service: delivered at least once, in any order across streams. `context.commandId` is
 * derived from the event, so a command executed under it happens once.
 */
export function OnEvent<E extends Event>(message: E): EventHandler<E> {
  return (target, key, descriptor) => {
    withParameters(target, key);
    (EventPattern(message.pattern, { message }) as MethodDecorator)(target, key, descriptor);
  };
}
