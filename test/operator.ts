import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { headers } from '@nats-io/transport-node';
import { type Command, type InputOf } from '@reef/contracts';
import { connectNats, ContextSigner, HEADER, newId } from '@reef/messaging';
import type { Stack } from './stack.js';

const TIMEOUT_MS = 10_000;

/** Sends one command straight to its service, as an operator of the platform; throws when it is refused. */
export async function asOperator<Message extends Command>(
  stack: Stack,
  tenant: string,
  message: Message,
  input: InputOf<Message>,
): Promise<void> {
  const { nats: password } = JSON.parse(readFileSync(join(stack.home, 'keys', 'passwords.json'), 'utf8')) as {
    nats: string;
  };
  const port = (await stack.status()).find(({ name }) => name === 'nats')?.port;
  const signer = ContextSigner.fromFile('edge', join(stack.home, 'keys', 'context-edge.jwk'));
  const header = headers();
  const principal = { kind: 'service', id: 'edge' } as const;
  header.set(HEADER.context, signer.sign({ tenant, principal, role: 'operator' }));
  header.set(HEADER.commandId, newId());
  header.set(HEADER.deadline, String(Date.now() + TIMEOUT_MS));
  const nats = await connectNats(`nats://reef:${password}@127.0.0.1:${port}`, 'test');
  try {
    const json = JSON.stringify(input, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
    const reply = await nats.request(message.subject(tenant), json, { headers: header, timeout: TIMEOUT_MS });
    if (!(reply.json() as { ok: boolean }).ok) throw new Error(`${message.name} was refused: ${reply.string()}`);
  } finally {
    await nats.close();
  }
}
