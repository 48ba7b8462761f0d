import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createLogger, environment, nestLogger, startTelemetry } from '@reef/service/process';
import { EdgeModule } from './edge.module.js';
import { edgeEnvironment } from './environment.js';
import { EdgeAdapter } from './http/server.js';

export interface RunningEdge {
  readonly app: NestFastifyApplication;
  readonly port: number;
  close(): Promise<void>;
}

/** Starts the edge in this process; `serve` does so for good, tests for a while. */
export async function startEdge(from: NodeJS.ProcessEnv = process.env): Promise<RunningEdge> {
  const settings = environment(edgeEnvironment, from);
  const logger = createLogger('edge');
  const telemetry = await startTelemetry('edge');
  const app = await NestFactory.create<NestFastifyApplication>(
    EdgeModule.for(settings, () => telemetry.scrape()),
    new EdgeAdapter(settings.TRUSTED_PROXIES, logger),
    { bodyParser: false, logger: nestLogger(logger), abortOnError: false },
  );
  await app.listen(settings.PORT, settings.HOST);
  const address = app.getHttpServer().address();
  return {
    app,
    port: typeof address === 'object' && address ? address.port : settings.PORT,
    async close() {
      await app.close();
      await telemetry.shutdown();
    },
  };
}
