import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { identify, isRunning } from '@reef/embedded';
import type { ProcessIdentity } from '@reef/embedded';
import { Explained } from '../explained.js';
import { readIfThere } from './files.js';
import type { Layout } from './layout.js';

const attemptsMax = 20;

/** The supervisor that runs this home now; undefined when none does, whatever a stale file says. */
export function runningSupervisor(layout: Layout): ProcessIdentity | undefined {
  const recorded = parse(readIfThere(layout.path('reef.pid')));
  return recorded !== undefined && isRunning(recorded) ? recorded : undefined;
}

/** One supervisor per home. Throws when another runs; a file left by a killed one does not count. Returns the release. */
export function lockHome(layout: Layout): () => void {
  const lock = layout.path('reef.pid');
  const mine = `${lock}.${process.pid}`;
  writeFileSync(mine, JSON.stringify(identify(process.pid)), { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      // A link appears with its content, and fails when the name is taken: no moment in which two could both have it.
      if (linked(mine, lock)) return () => rmSync(lock, { force: true });
      const holder = runningSupervisor(layout);
      if (holder !== undefined) throw alreadyRuns(layout, holder);
      setAside(layout, lock);
    }
    throw new Explained(`${lock} changes hands all the time; is another reef starting here?`);
  } finally {
    rmSync(mine, { force: true });
  }
}

/** Between the look at a stale file and its removal another start may have taken the place: look again, put it back. */
function setAside(layout: Layout, lock: string): void {
  const aside = `${lock}.${process.pid}.stale`;
  try {
    renameSync(lock, aside);
  } catch {
    return; // Somebody else removed it.
  }
  const holder = parse(readFileSync(aside, 'utf8'));
  const lives = holder !== undefined && isRunning(holder);
  if (lives) linked(aside, lock);
  rmSync(aside, { force: true });
  if (lives) throw alreadyRuns(layout, holder);
}

function alreadyRuns(layout: Layout, holder: ProcessIdentity): Explained {
  return new Explained(
    `a stack already runs in ${layout.home} (process ${holder.pid}). ` +
      'Stop it with ./reef down, or start a second one with another REEF_HOME and REEF_PORT.',
  );
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function parse(text: string | undefined): ProcessIdentity | undefined {
  try {
    const value = JSON.parse(text ?? '') as Partial<ProcessIdentity>;
    return typeof value.pid === 'number' && typeof value.startedAt === 'string'
      ? (value as ProcessIdentity)
      : undefined;
  } catch {
    return undefined;
  }
}
