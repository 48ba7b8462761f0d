import type { NatsConnection } from '@nats-io/transport-node';

const DRAIN_TIMEOUT_MS = 2_000;

/** Sends what is buffered and closes; a server that is away is not waited for. */
export async function closeNats(nats: NatsConnection): Promise<void> {
  if (nats.isClosed()) return;
  const drained = nats.drain().then(() => true);
  const gaveUp = new Promise<false>((resolve) => setTimeout(() => resolve(false), DRAIN_TIMEOUT_MS).unref());
  if (!(await Promise.race([drained, gaveUp]).catch(() => false))) await nats.close().catch(() => undefined);
}
