import 'reflect-metadata';
import { createLogger } from '@reef/service/process';
import { startEdge } from './start-edge.js';

const STOP_TIMEOUT_MS = 20_000;

const logger = createLogger('edge');
const [command = 'serve'] = process.argv.slice(2);

try {
  if (command !== 'serve') throw new Error(`edge knows serve, not ${command}`);
  const edge = await startEdge();
  logger.info({ port: edge.port }, 'edge is serving');
  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    setTimeout(() => process.exit(1), STOP_TIMEOUT_MS).unref();
    edge.close().then(
      () => process.exit(0),
      (error: unknown) => {
        logger.error({ err: error }, 'the edge did not stop cleanly');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop).on('SIGINT', stop);
  process.on('unhandledRejection', (error) => logger.error({ err: error }, 'a promise was rejected and nobody looked'));
} catch (error) {
  logger.fatal({ err: error }, `edge could not ${command}`);
  process.exit(1);
}
