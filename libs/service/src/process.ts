// What any of Reef's processes needs, without the event store and the database: the edge has neither.
export { environment } from './environment.js';
export { createLogger, describeError, nestLogger } from './logger.js';
export { checkAll, type Readiness, startOpsServer } from './ops-server.js';
export { startTelemetry, type Telemetry } from './telemetry.js';
export { closeNats } from './close-nats.js';
export { InjectLogger, LOGGER, NATS } from './tokens.js';
