import { copyFileSync, readdirSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';

const logBytesMax = 10 * 1024 * 1024;
const checkEveryMs = 10_000;

/** Keeps each log and one older copy below the limit. The writers append, so cutting the file under them is safe. */
export function rotateLogs(folder: string, bytesMax = logBytesMax): void {
  for (const name of readdirSync(folder).filter((candidate) => candidate.endsWith('.log'))) {
    const file = join(folder, name);
    if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) <= bytesMax) continue;
    copyFileSync(file, `${file}.1`);
    truncateSync(file, 0);
  }
}

export function keepRotating(folder: string): void {
  setInterval(() => rotateLogs(folder), checkEveryMs).unref();
}
