export { environment, type ServiceEnvironment, serviceEnvironment } from './environment.js';
export { createLogger, describeError, nestLogger } from './logger.js';
export { checkAll, type Readiness, startOpsServer } from './ops-server.js';
export { Periodic } from './periodic.js';
export { closeNats, ReefModule, type ServiceDefinition } from './reef-module.js';
export { type RunningService, runService, startService } from './run-service.js';
export { serviceContext } from './service-context.js';
export { startTelemetry, type Telemetry } from './telemetry.js';
export { DATABASE, FEED_DATABASE, InjectLogger, LOGGER, NATS } from './tokens.js';
