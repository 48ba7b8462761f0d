import { AsyncLocalStorage } from 'node:async_hooks';

/** Ids that every log line of the current work carries; never content. */
export const logContext = new AsyncLocalStorage<Readonly<Record<string, string>>>();
