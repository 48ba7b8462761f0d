import { mkdtempSync, realpathSync, rmSync, statSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir, homedir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { natsPayloadBytesMax, startNats } from '../src/nats.js';
import { findNatsServer } from '../src/nats-server/find-nats-server.js';
import { freePort } from '../src/ports.js';
import { identify } from '../src/process-identity.js';

describe('the embedded nats-server', () => {
  let home: string;
  let binary: string;

  beforeAll(async () => {
    const cacheDir =
      process.env['REEF_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'reef');
    binary = (await findNatsServer({ cacheDir, env: process.env })).path;
  }, 400_000);
  beforeEach(() => {
    home = realpathSync(mkdtempSync(join(tmpdir(), 'reef-nats-')));
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));

  const start = (port = 0, extraConfig = '') =>
    startNats({ binary, storeDir: join(home, 'js'), port, user: 'reef', password: 'p"w', extraConfig });

  test('has JetStream, takes 8 MB, wants a password, and leaves no process behind', async () => {
    const server = await start(0, 'server_name: reef-here');
    const info = await greeting(server.port);
    expect(info).toMatchObject({
      jetstream: true,
      max_payload: natsPayloadBytesMax,
      auth_required: true,
      server_name: 'reef-here',
    });
    expect(statSync(join(home, 'nats.conf')).mode & 0o777).toBe(0o600);
    await server.stop();
    expect(identify(server.pid)).toBeUndefined();
  });

  test('starts again on the same port', async () => {
    const port = await freePort();
    const first = await start(port);
    await first.stop();
    const second = await start(port);
    expect(second.url).toBe(`nats://reef:p%22w@127.0.0.1:${port}`);
    await second.stop();
  });

  test('shows the end of its log when it cannot start', async () => {
    await expect(start(0, 'nonsense: {')).rejects.toThrow(/ended while starting:\n.*nats/);
  });
});

function greeting(port: number): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: '127.0.0.1', port });
    socket.once('error', reject);
    socket.once('data', (data) => {
      socket.destroy();
      resolve(JSON.parse(data.toString('utf8').replace(/^INFO /, '')) as Record<string, unknown>);
    });
  });
}
