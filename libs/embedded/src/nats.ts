import { mkdirSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startChild } from './child.js';
import type { Child, Exit } from './child.js';
import { freePort } from './ports.js';
import type { ProcessIdentity } from './process-identity.js';

/** The largest message NATS accepts: 8 MB. */
export const natsPayloadBytesMax = 8 * 1024 * 1024;

const readyLimitMs = 30_000;
const stopLimitMs = 10_000;
const startAttemptsMax = 3;

export interface NatsOptions {
  /** Full path of nats-server, as `findNatsServer` gives it. */
  readonly binary: string;
  /** JetStream's folder; created when missing. The configuration and log are written beside it. */
  readonly storeDir: string;
  /** 0 or absent: any free port. */
  readonly port?: number;
  readonly user: string;
  readonly password: string;
  /** Default: nats.log beside the store. */
  readonly logFile?: string;
  /** Appended to the configuration, in nats-server's own syntax. */
  readonly extraConfig?: string;
}

export interface Nats {
  readonly url: string;
  readonly port: number;
  /** HTTP monitoring (`/varz`, `/jsz`) on 127.0.0.1. */
  readonly monitorPort: number;
  readonly pid: number;
  readonly identity: ProcessIdentity | undefined;
  /** SIGTERM, then SIGKILL after 10 s. */
  stop(): Promise<void>;
  /** Called once when the server ends, wanted or not. */
  onExit(listener: (exit: Exit) => void): void;
}

/** Starts nats-server with JetStream on 127.0.0.1; resolves when JetStream is healthy. Errors carry the end of its log. */
export async function startNats(options: NatsOptions): Promise<Nats> {
  mkdirSync(options.storeDir, { recursive: true, mode: 0o700 });
  const configFile = join(dirname(options.storeDir), 'nats.conf');
  const logFile = options.logFile ?? join(dirname(options.storeDir), 'nats.log');

  for (let attempt = 1; ; attempt += 1) {
    const port = options.port || (await freePort());
    const monitorPort = await freePort();
    writeFileSync(configFile, natsConfig(options, port, monitorPort), { mode: 0o600 });
    const child = await startChild({
      command: options.binary,
      args: ['--config', configFile],
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'] },
      logFile,
      signalOnParentDeath: 'SIGTERM',
    });
    try {
      await untilHealthy(child, monitorPort);
    } catch (error) {
      await child.stop('SIGTERM', stopLimitMs);
      const portWasTaken = child.lastWords().includes('address already in use');
      if (portWasTaken && !options.port && attempt < startAttemptsMax) continue;
      throw error;
    }
    const credentials = `${encodeURIComponent(options.user)}:${encodeURIComponent(options.password)}`;
    return {
      url: `nats://${credentials}@127.0.0.1:${port}`,
      port,
      monitorPort,
      pid: child.pid,
      identity: child.identity,
      async stop() {
        await child.stop('SIGTERM', stopLimitMs);
      },
      onExit(listener) {
        void child.exited.then(listener);
      },
    };
  }
}

/** The configuration's text. JSON strings are valid in it, so no value can break out of its quotes. */
export function natsConfig(
  options: Pick<NatsOptions, 'storeDir' | 'user' | 'password' | 'extraConfig'>,
  port: number,
  monitorPort: number,
): string {
  return [
    `listen: "127.0.0.1:${port}"`,
    `http: "127.0.0.1:${monitorPort}"`,
    `max_payload: ${natsPayloadBytesMax}`,
    `jetstream { store_dir: ${JSON.stringify(options.storeDir)} }`,
    `authorization { user: ${JSON.stringify(options.user)}, password: ${JSON.stringify(options.password)} }`,
    options.extraConfig ?? '',
    '',
  ].join('\n');
}

async function untilHealthy(child: Child, monitorPort: number): Promise<void> {
  const deadline = Date.now() + readyLimitMs;
  while (!(await isHealthy(monitorPort))) {
    if (child.hasExited()) throw new Error(`nats-server ended while starting:\n${child.lastWords()}`);
    if (Date.now() > deadline) {
      throw new Error(`nats-server was not healthy within ${readyLimitMs / 1000} s:\n${child.lastWords()}`);
    }
    await sleep(25);
  }
}

function isHealthy(monitorPort: number): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get(
      { host: '127.0.0.1', port: monitorPort, path: '/healthz', timeout: 2_000, agent: false },
      (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      },
    );
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });
}
