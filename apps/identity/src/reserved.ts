import { PLATFORM } from '@reef/contracts';

/** Names that a tenant may not have: they mean something in subjects, tokens or addresses. */
const RESERVED: ReadonlySet<string> = new Set([
  PLATFORM,
  'session', // `reef_session_…` is a log-in's token.
  'reef',
  'admin',
  'api',
  'root',
  'support',
  'system',
  'www',
]);

export const isReserved = (tenant: string): boolean => RESERVED.has(tenant);
