import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';

const MARK = '#';

/** A name for this process that no other has, with the place that a supervisor keeps it in, if one does. */
export function workerNamed(place: string | undefined): string {
  const own = `${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`;
  return place === undefined ? own : `${place}${MARK}${own}`;
}

/** What the names of all processes begin with that ever ran in this one's place; null where nobody keeps it to one at a time. */
export function placeOf(worker: string): string | null {
  const end = worker.indexOf(MARK);
  return end < 0 ? null : worker.slice(0, end + 1);
}
