import { createHash } from 'node:crypto';
import { memory } from '@reef/contracts';
import { aggregate } from '@reef/eventing';
import { memoriesDecider } from './domain/memories.js';
import { memoriesProjection } from './projections/memories.js';

/** `memories/<agent>/<hash of the user>`, or `memories/<agent>/shared`. */
export const memories = aggregate({
  name: 'memories',
  decider: memoriesDecider,
  events: { Remembered: memory.events.Remembered, Forgotten: memory.events.Forgotten },
  projections: [memoriesProjection],
  snapshotEvery: 200,
});

/** A user is named in the tenant's own words, at any length and in any script; the hash makes a short name of it. */
export function streamOf(agent: string, user: string | null): string {
  const whose = user === null ? 'shared' : createHash('sha256').update(user).digest('base64url');
  return `memories/${agent}/${whose}`;
}

/** A stream that nothing is ever written to: no agent's name is a hyphen. */
export const EMPTY_STREAM = 'memories/-/-';

/** 128 bits suffice to tell 5,000 texts apart. */
export const textHashOf = (text: string): string =>
  createHash('sha256').update(text).digest().subarray(0, 16).toString('base64url');
