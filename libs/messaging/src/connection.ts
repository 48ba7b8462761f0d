import { connect, type NatsConnection } from '@nats-io/transport-node';

/**
 * Connects to NATS and stays connected: it reconnects for as long as the process lives.
 * @param url `nats://user:password@host:port`; several servers separated by commas.
 */
export async function connectNats(url: string, name: string): Promise<NatsConnection> {
  const servers = url.split(',').map((server) => new URL(server));
  const [first] = servers;
  return connect({
    servers: servers.map((server) => server.host),
    ...(first?.username && { user: decodeURIComponent(first.username), pass: decodeURIComponent(first.password) }),
    name,
    noAsyncTraces: true, // A stack trace captured on every request costs more than the request.
    maxReconnectAttempts: -1,
    reconnectTimeWait: 200,
    reconnectJitter: 100,
    waitOnFirstConnect: true,
    pingInterval: 10_000,
    maxPingOut: 2,
  });
}
