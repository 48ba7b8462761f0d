import { closeSync, fstatSync } from 'node:fs';
import { errnoOf } from './refusal.js';
import {
  O_CLOEXEC,
  O_DIRECTORY,
  O_NOCTTY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  systemError,
  type SystemCalls,
} from './system-calls.js';

/** How a path is descended: one `openat2`, or a walk a name at a time where the system refuses that call. */
export type Strategy = 'openat2' | 'walk';

/**
 * Opens components below a directory's descriptor and never leaves it: no symbolic link is followed, no mount crossed.
 * Throws like node:fs; ELOOP is a link and EXDEV a mount. No components opens the directory itself again.
 */
export type OpenBeneath = (directory: number, components: Components, flags: number, mode?: number) => Descriptor;

/** Names from the root down. A single raw name serves what a sandbox may leave behind and UTF-8 cannot spell. */
export type Components = readonly string[] | readonly [Buffer];

/** An open descriptor that closes itself at the end of its block. */
export class Descriptor implements Disposable {
  #open = true;
  constructor(readonly fd: number) {}

  /** Hands the descriptor to a new owner, who closes it. */
  release(): number {
    this.#open = false;
    return this.fd;
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(this.fd);
  }
}

// NONBLOCK because opening a pipe would otherwise wait for its other end for ever.
const opening = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
// openat2 refuses with EINVAL what O_PATH has no use for.
const pointing = O_CLOEXEC | O_NOFOLLOW;
const withAlways = (flags: number): number => flags | (flags & O_PATH ? pointing : opening);
// RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH
const resolveBeneath = 0x01 | 0x02 | 0x04 | 0x08;
const attemptsMax = 64;
// The kernel's own limit is 4,095 bytes a call; a workspace path may be longer once the tenant stands before it.
const callBytesMax = 4000;

/** Picks the strategy that works at this root, or throws: without one the service must not start. */
export function openerFor(
  calls: SystemCalls,
  root: number,
  forced?: Strategy,
): { strategy: Strategy; open: OpenBeneath } {
  const tried = forced ? [forced] : (['openat2', 'walk'] as const);
  const failures: unknown[] = [];
  for (const strategy of tried) {
    const open = strategy === 'openat2' ? byOpenat2(calls) : byWalk(calls);
    try {
      using _probe = open(root, [], O_RDONLY | O_DIRECTORY);
      return { strategy, open };
    } catch (error) {
      failures.push(error);
    }
  }
  throw new AggregateError(failures, 'this system offers no way to open files beneath a directory');
}

function byOpenat2(calls: SystemCalls): OpenBeneath {
  function open(directory: number, path: string | Buffer, flags: number, mode: number): number {
    for (let attempt = 1; ; attempt++) {
      try {
        // Of a link where a directory is asked for, O_NOFOLLOW would say ENOTDIR; RESOLVE_NO_SYMLINKS refuses it too, and says ELOOP.
        return calls.openat2(directory, path, flags & O_DIRECTORY ? flags & ~O_NOFOLLOW : flags, resolveBeneath, mode);
      } catch (error) {
        // EAGAIN: a rename elsewhere raced with the descent and the kernel could not vouch for it.
        const code = errnoOf(error);
        if ((code !== 'EAGAIN' && code !== 'EINTR') || attempt === attemptsMax) throw error;
      }
    }
  }
  return (directory, components, flags, mode = 0) => {
    const only = components[0];
    if (components.length === 1 && only !== undefined)
      return new Descriptor(open(directory, only, withAlways(flags), mode));
    const paths = inCalls(components);
    const leaf = paths.pop() ?? '.';
    if (paths.length === 0) return new Descriptor(open(directory, leaf, withAlways(flags), mode));
    let parent = directory;
    for (const path of paths) {
      const next = open(parent, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
      if (parent !== directory) closeSync(parent);
      parent = next;
    }
    using _parent = new Descriptor(parent);
    return new Descriptor(open(parent, leaf, withAlways(flags), mode));
  };
}

/** Joins components into as few paths as fit one system call each. */
function inCalls(components: Components): string[] {
  const paths: string[] = [];
  let path = '';
  for (const component of components) {
    const longer = path === '' ? String(component) : `${path}/${String(component)}`;
    if (longer.length * 3 <= callBytesMax || Buffer.byteLength(longer) <= callBytesMax) path = longer;
    else {
      paths.push(path);
      path = String(component);
    }
  }
  if (path !== '') paths.push(path);
  return paths;
}

function byWalk(calls: SystemCalls): OpenBeneath {
  function step(parent: number, name: string | Buffer, device: number): number {
    // O_PATH takes hold of whatever stands there without opening it, a link included, so it can be looked at first.
    const fd = calls.openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
    const stats = fstatSync(fd);
    const problem = stats.isSymbolicLink()
      ? 'ELOOP'
      : !stats.isDirectory()
        ? 'ENOTDIR'
        : stats.dev !== device
          ? 'EXDEV'
          : undefined;
    if (problem === undefined) return fd;
    closeSync(fd);
    throw systemError(problem, 'openat');
  }
  return (directory, components, flags, mode = 0) => {
    const device = fstatSync(directory).dev;
    const leaf = components.at(-1) ?? '.';
    let parent = directory;
    try {
      for (const name of components.slice(0, -1)) {
        const next = step(parent, name, device);
        if (parent !== directory) closeSync(parent);
        parent = next;
      }
      if (flags & O_DIRECTORY) {
        // Asked for a directory, the kernel says ENOTDIR of a link; looking first tells the two apart, as openat2 does.
        const seen = step(parent, leaf, device);
        if (parent !== directory) closeSync(parent);
        parent = seen;
        return sameDevice(new Descriptor(calls.openat(parent, '.', withAlways(flags), 0)), device);
      }
      return sameDevice(new Descriptor(calls.openat(parent, leaf, withAlways(flags), mode)), device);
    } finally {
      if (parent !== directory) closeSync(parent);
    }
  };
}

function sameDevice(descriptor: Descriptor, device: number): Descriptor {
  if (fstatSync(descriptor.fd).dev === device) return descriptor;
  descriptor[Symbol.dispose]();
  throw systemError('EXDEV', 'openat');
}
