import { setTimeout as sleep } from 'node:timers/promises';

/** A timer fires up to this early or late; sooner than it, a request leaves at once. */
const timerMs = 0.5;

/**
 * Starts `work` at a constant rate, whatever becomes of the earlier ones, and waits for all. Each is told when it was due: measured
 * from then, a stall of the system also counts for those that had to wait behind it (no coordinated omission).
 */
export async function openLoop<Result>(
  { perSecond, seconds }: { perSecond: number; seconds: number },
  work: (index: number, dueMs: number) => Promise<Result>,
): Promise<Result[]> {
  const count = Math.round(perSecond * seconds);
  const startMs = performance.now();
  const running: Promise<Result>[] = [];
  for (let index = 0; index < count; index += 1) {
    const dueMs = startMs + (index * 1_000) / perSecond;
    for (let waitMs = dueMs - performance.now(); waitMs > timerMs; waitMs = dueMs - performance.now()) {
      await sleep(waitMs);
    }
    running.push(work(index, Math.min(dueMs, performance.now())));
    running.at(-1)?.catch(() => undefined); // Looked at when all have ended.
  }
  return whenAll(running);
}

/** Keeps so many under way for so long, and waits for the last; resolves with the results and the time from first to last, seconds. */
export async function closedLoop<Result>(
  { inFlight, seconds }: { inFlight: number; seconds: number },
  work: (index: number) => Promise<Result>,
): Promise<{ results: Result[]; seconds: number }> {
  const startMs = performance.now();
  const endMs = startMs + seconds * 1_000;
  const results: Result[] = [];
  let next = 0;
  const worker = async () => {
    while (performance.now() < endMs) results.push(await work(next++));
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return { results, seconds: (performance.now() - startMs) / 1_000 };
}

/** Waits for all, also when one fails: nothing may still run when the next measurement begins. */
async function whenAll<Result>(running: readonly Promise<Result>[]): Promise<Result[]> {
  await Promise.allSettled(running);
  return Promise.all(running);
}
