import { Inject } from '@nestjs/common';

/** The connection to NATS. */
export const NATS = Symbol('NATS');
/** pg Pool of the service's own role: sees the tenants a transaction names. */
export const DATABASE = Symbol('DATABASE');
/** pg Pool of the role that may read all tenants: for sweepers and the relay, never for a request. */
export const FEED_DATABASE = Symbol('FEED_DATABASE');
export const LOGGER = Symbol('LOGGER');

export const InjectLogger = () => Inject(LOGGER);
