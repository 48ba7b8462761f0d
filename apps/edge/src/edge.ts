import type { NatsConnection } from '@nats-io/transport-node';
import type { Requests } from '@reef/messaging';
import type { Authenticator } from './auth/authenticator.js';
import type { Contexts } from './auth/contexts.js';
import type { LiveTurns } from './v1/live-turns.js';

/** What a handler may reach. There is nothing else: the edge has no database. */
export interface Edge {
  readonly nats: NatsConnection;
  readonly requests: Requests;
  readonly contexts: Contexts;
  readonly authenticator: Authenticator;
  readonly turns: LiveTurns;
  /** This process's metrics in Prometheus' text format. */
  metrics(): Promise<string>;
}
