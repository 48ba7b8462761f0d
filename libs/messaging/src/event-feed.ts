import {
  DiscardPolicy,
  jetstreamManager,
  type JetStreamManager,
  JetStreamApiError,
  RetentionPolicy,
  StorageType,
} from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';

/** The one JetStream stream: a feed of committed events that can be thrown away and rebuilt from PostgreSQL. */
export const EVENTS_STREAM = 'EVENTS';
const EVENTS_SUBJECTS = ['tenant.*.*.evt.*'];
const EVENTS_BYTES_MAX = 4 * 1024 ** 3;
/** An event published twice within this time is stored once; later copies are dropped by their consumers. */
const DUPLICATE_WINDOW_NS = 120 * 1_000_000_000;
const STREAM_NAME_IN_USE = 10_058;

/**
 * Creates the feed where it is missing.
 * @returns when it was created: another time than before means that it was lost and must be filled again.
 */
export async function ensureFeed(nats: NatsConnection): Promise<{ manager: JetStreamManager; createdAt: string }> {
  const manager = await jetstreamManager(nats, { checkAPI: false });
  const existing = await manager.streams.info(EVENTS_STREAM).catch((error: unknown) => {
    if (isMissing(error)) return null;
    throw error;
  });
  if (existing) return { manager, createdAt: existing.created };
  try {
    const { created } = await manager.streams.add({
      name: EVENTS_STREAM,
      subjects: EVENTS_SUBJECTS,
      storage: StorageType.File,
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      max_bytes: EVENTS_BYTES_MAX,
      duplicate_window: DUPLICATE_WINDOW_NS,
    });
    return { manager, createdAt: created };
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === STREAM_NAME_IN_USE) return ensureFeed(nats);
    throw error;
  }
}

export function isMissing(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.status === 404;
}
