export { scenario, type When } from './scenario.js';
export { holdNats, natsOfThisFile } from './nats-of-file.js';
export { eventually, type Speaker, startService, type TestService } from './start-service.js';
