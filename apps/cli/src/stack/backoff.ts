export const backoffFirstMs = 100;
export const backoffMaxMs = 5_000;
/** One that has run this long is taken for healthy: the next failure counts as the first again. */
export const healthyAfterMs = 30_000;

/** How long to wait before a restart, given how many failures came in a row (1 for the first). */
export function backoffMs(failuresInARow: number): number {
  return Math.min(backoffMaxMs, backoffFirstMs * 2 ** (failuresInARow - 1));
}

/** How many failures in a row it is now, given how many it was and how long the process ran. */
export function failuresAfter(failuresInARow: number, ranMs: number): number {
  return ranMs >= healthyAfterMs ? 1 : failuresInARow + 1;
}
