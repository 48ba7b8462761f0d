import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from './step.mjs';

const waitLimitMs = 15 * 60_000;

/** One preparation of a clone at a time. A holder that was killed is recognised by its pid and start time. */
export async function withLock(directory, subject, work) {
  mkdirSync(directory, { recursive: true });
  const lock = join(directory, createHash('sha256').update(subject).digest('hex').slice(0, 16));
  await acquire(directory, lock);
  try {
    return await work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

async function acquire(directory, lock) {
  const deadline = Date.now() + waitLimitMs;
  let told = false;
  // Renaming a folder that already says who holds it: nobody ever sees a lock without its holder.
  const mine = join(directory, `${randomUUID()}.new`);
  mkdirSync(mine);
  writeFileSync(join(mine, 'holder.json'), JSON.stringify(identify(process.pid)));
  try {
    for (;;) {
      if (taken(mine, lock)) return;
      const holder = holderOf(lock);
      if (holder !== undefined && !isRunning(holder)) {
        setAside(directory, lock);
        continue;
      }
      if (!told && holder !== undefined) {
        process.stderr.write(`… another reef prepares this clone (process ${holder.pid}); waiting\n`);
        told = true;
      }
      if (Date.now() > deadline) throw new Failure(`${lock} is still held after ${waitLimitMs / 60_000} minutes`);
      await sleep(200);
    }
  } finally {
    rmSync(mine, { recursive: true, force: true });
  }
}

function taken(mine, lock) {
  try {
    renameSync(mine, lock);
    return true;
  } catch (error) {
    if (error.code === 'ENOTEMPTY' || error.code === 'EEXIST') return false;
    throw error;
  }
}

/** Moves a stale lock away and looks again: between the look and the move it may have changed hands. */
function setAside(directory, lock) {
  const aside = join(directory, `${randomUUID()}.stale`);
  try {
    renameSync(lock, aside);
  } catch {
    return; // Another waiter was faster.
  }
  const holder = holderOf(aside);
  if (holder !== undefined && isRunning(holder)) renameSync(aside, lock);
  else rmSync(aside, { recursive: true, force: true });
}

function holderOf(lock) {
  try {
    return JSON.parse(readFileSync(join(lock, 'holder.json'), 'utf8'));
  } catch {
    return undefined;
  }
}

function isRunning(holder) {
  return identify(holder.pid)?.started === holder.started;
}

/** A pid with its start time where the system tells it, else the pid alone. */
function identify(pid) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (error.code === 'ESRCH') return undefined;
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : { pid, started: fields[19] };
  } catch {
    return { pid, started: 'unknown' };
  }
}
