import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { configFromEnvironment } from './config.js';
import { createSimulator } from './server.js';

const drainMs = 5_000;

const simulator = createSimulator(configFromEnvironment(process.env));
const { server } = simulator;

server.listen(Number(process.env['PORT'] ?? 0), process.env['HOST'] ?? '127.0.0.1', () => {
  const { address, port } = server.address() as AddressInfo;
  process.stdout.write(
    `${JSON.stringify({ level: 'info', msg: 'listening', service: 'simulator', host: address, port })}\n`,
  );
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    // Streams that are running may finish, for so long.
    void Promise.race([simulator.drain(), sleep(drainMs)]).then(() => process.exit(0));
  });
}
