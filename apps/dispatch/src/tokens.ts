/** The engine that runs turns. */
export const ENGINE = Symbol('ENGINE');
/** This process's name among the processes that run turns. */
export const WORKER = Symbol('WORKER');
/** The model providers of this deployment. */
export const PROVIDERS = Symbol('PROVIDERS');
/** What a lane may hold at most. */
export const BOUNDS = Symbol('BOUNDS');
