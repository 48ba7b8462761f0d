import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One dependency's answer to "can you be used?"; a throw or false is a no. */
export type Readiness = Readonly<Record<string, () => Promise<boolean>>>;

const CHECK_TIMEOUT_MS = 2_000;

/** Serves `/healthz`, `/readyz` (every dependency by name) and `/metrics` on loopback or, in a container, everywhere. */
export async function startOpsServer(options: {
  port: number;
  host: string;
  ready: Readiness;
  metrics: () => Promise<string>;
}): Promise<{ port: number; close(): Promise<void> }> {
  const server: Server = createServer((request, response) => {
    const answer = (status: number, type: string, body: string) =>
      response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(body);
    const serve = async () => {
      const path = request.url?.split('?', 1)[0];
      if (request.method !== 'GET') answer(405, 'text/plain', 'GET only\n');
      else if (path === '/healthz') answer(200, 'application/json', '{"status":"alive"}\n');
      else if (path === '/readyz') {
        const checks = await checkAll(options.ready);
        const good = Object.values(checks).every((state) => state === 'ready');
        answer(
          good ? 200 : 503,
          'application/json',
          `${JSON.stringify({ status: good ? 'ready' : 'not_ready', checks })}\n`,
        );
      } else if (path === '/metrics') answer(200, 'text/plain; version=0.0.4; charset=utf-8', await options.metrics());
      else answer(404, 'text/plain', 'not found\n');
    };
    serve().catch(() => answer(500, 'text/plain', 'error\n'));
  });
  server.requestTimeout = 10_000;
  server.maxConnections = 100;
  await new Promise<void>((resolve, reject) =>
    server.once('error', reject).listen(options.port, options.host, resolve),
  );
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export async function checkAll(ready: Readiness): Promise<Record<string, 'ready' | 'not_ready'>> {
  const entries = await Promise.all(
    Object.entries(ready).map(async ([name, check]) => {
      const timeout = new Promise<false>((resolve) => setTimeout(() => resolve(false), CHECK_TIMEOUT_MS).unref());
      const good = await Promise.race([check(), timeout]).catch(() => false);
      return [name, good ? 'ready' : 'not_ready'] as const;
    }),
  );
  return Object.fromEntries(entries);
}
