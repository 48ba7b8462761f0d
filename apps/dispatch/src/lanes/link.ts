import type { Announced, LaneRequest } from '../domain/lane.js';
import type { LaneTurn } from './messages.js';
import type { Decided } from './permit.js';

/** A turn of this process in a lane. */
export interface Entry extends LaneRequest {
  isRunning: boolean;
  decide(decided: Decided): void;
}

/** What this process has in a lane, and who owns it as far as is known. */
export interface Link {
  readonly lane: string;
  readonly entries: Map<string, Entry>;
  /** Tenants whom an owner elsewhere refused, until when they need not ask it again, ms. */
  readonly refusedUntilMs: Map<string, number>;
  owner: { readonly worker: string; readonly fence: number } | null;
  locating: Promise<void> | null;
  /** A turn has ended, and the word of it may be lost: the owner is told once more what is left here. */
  hasEnded: boolean;
  announcedAtMs: number;
  usedAtMs: number;
}

export function linkTo(lane: string, nowMs: number): Link {
  return {
    lane,
    entries: new Map(),
    refusedUntilMs: new Map(),
    owner: null,
    locating: null,
    hasEnded: false,
    announcedAtMs: 0,
    usedAtMs: nowMs,
  };
}

export const turnOf = ({ id, tenant, agent, priority, weight, cost }: LaneTurn): LaneTurn => ({
  id,
  tenant,
  agent,
  priority,
  weight,
  cost,
});
export const requestOf = (entry: Entry): LaneRequest => ({ ...turnOf(entry), worker: entry.worker });
export const announcedOf = (entry: Entry): Announced => ({ ...requestOf(entry), isRunning: entry.isRunning });
