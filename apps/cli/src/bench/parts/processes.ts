import { readdirSync, readFileSync } from 'node:fs';
import { residentBytes } from '@reef/embedded';

/** Linux counts a process's time in ticks of 10 ms on every architecture that Node runs on. */
const TICK_MS = 10;

/** What runs under one name: a service, or PostgreSQL with a process per connection. */
export interface ProcessGroup {
  readonly name: string;
  readonly pid: number;
}

export interface Use {
  readonly rssBytes: number;
  /** Shared pages divided among those who share them: what adds up to the truth. RSS where the system does not tell. */
  readonly pssBytes: number;
  /** User and system time since the start, of the process and of its living and ended children. */
  readonly cpuMs: number;
}

/** What each group uses now, with all its descendants but those that are a group of their own. Needs Linux for more than zeros in `cpuMs`. */
export function useOf(groups: readonly ProcessGroup[]): Map<string, Use> {
  const children = childrenByParent();
  const heads = new Set(groups.map(({ pid }) => pid));
  return new Map(
    groups.map(({ name, pid }) => {
      const pids = [pid];
      for (const one of pids) pids.push(...(children.get(one) ?? []).filter((child) => !heads.has(child)));
      return [name, pids.map(useOfOne).reduce(sum)];
    }),
  );
}

/** Total over all groups. */
export function totalOf(use: ReadonlyMap<string, Use>): Use {
  return [...use.values()].reduce(sum, { rssBytes: 0, pssBytes: 0, cpuMs: 0 });
}

/** CPU ms of each group between two looks, dearest first. */
export function cpuBetween(before: ReadonlyMap<string, Use>, after: ReadonlyMap<string, Use>): [string, number][] {
  const spent = [...after].map(([name, { cpuMs }]): [string, number] => [name, cpuMs - (before.get(name)?.cpuMs ?? 0)]);
  return spent.sort(([, a], [, b]) => b - a);
}

const sum = (a: Use, b: Use): Use => ({
  rssBytes: a.rssBytes + b.rssBytes,
  pssBytes: a.pssBytes + b.pssBytes,
  cpuMs: a.cpuMs + b.cpuMs,
});

function useOfOne(pid: number): Use {
  const rssBytes = residentBytes(pid) ?? 0;
  const kilobytes = /^Pss:\s+(\d+) kB$/m.exec(readProc(pid, 'smaps_rollup'))?.[1];
  // utime, stime, and the same of children that have ended.
  const ticks = statOf(pid).slice(11, 15).map(Number);
  return {
    rssBytes,
    pssBytes: kilobytes === undefined ? rssBytes : Number(kilobytes) * 1024,
    cpuMs: ticks.reduce((a, b) => a + b, 0) * TICK_MS,
  };
}

function childrenByParent(): Map<number, number[]> {
  const children = new Map<number, number[]>();
  if (process.platform !== 'linux') return children;
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    const parent = Number(statOf(Number(name))[1] ?? 0);
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  return children;
}

/** The fields of /proc/{pid}/stat from the state on: a command's name may hold spaces and parentheses. */
function statOf(pid: number): string[] {
  const text = readProc(pid, 'stat');
  return text === '' ? [] : text.slice(text.lastIndexOf(')') + 2).split(' ');
}

function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return ''; // Gone, another user's, or not Linux.
  }
}
