import type { ProcessIdentity } from '@reef/embedded';
import { readIfThere, writePrivate } from './files.js';
import type { Layout } from './layout.js';

/** One process as last recorded: enough to find it again, and to be sure that it is still the same one. */
export interface RecordedService {
  readonly name: string;
  /** Absent between an end and the next start. */
  readonly process: ProcessIdentity | undefined;
  readonly port: number;
  /** Path of its readiness check; absent where an open port is all there is to see. */
  readonly readyPath?: string;
  readonly restarts: number;
}

/** What REEF_HOME/state.json says of the running stack. Holds no secret. */
export interface StackState {
  readonly supervisor: ProcessIdentity;
  readonly baseUrl: string;
  readonly services: readonly RecordedService[];
}

export function readState(layout: Layout): StackState | undefined {
  const text = readIfThere(layout.path('state.json'));
  if (text === undefined) return undefined;
  try {
    const state = JSON.parse(text) as Partial<StackState>;
    return state.supervisor !== undefined && Array.isArray(state.services) ? (state as StackState) : undefined;
  } catch {
    return undefined; // Damaged: the same as none, since every process is looked for in other ways as well.
  }
}

export function writeState(layout: Layout, state: StackState): void {
  writePrivate(layout.path('state.json'), `${JSON.stringify(state, null, 2)}\n`);
}
