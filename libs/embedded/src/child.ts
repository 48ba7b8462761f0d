import { spawn, spawnSync } from 'node:child_process';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { identify } from './process-identity.js';
import type { ProcessIdentity } from './process-identity.js';

export interface ChildOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Where stdout and stderr are appended. */
  readonly logFile: string;
  /** What the system sends the child when this process dies without a word. Best effort: Linux with util-linux. */
  readonly signalOnParentDeath: NodeJS.Signals;
  /** Words put before the command, such as a wrapper that drops root. */
  readonly prefix?: readonly string[];
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Child {
  readonly pid: number;
  readonly identity: ProcessIdentity | undefined;
  /** Resolves once, when the process has ended, whatever the reason. */
  readonly exited: Promise<Exit>;
  hasExited(): boolean;
  /** The end of what this process has written to its log; what earlier ones wrote is left out. */
  lastWords(): string;
  /** Asks with the signal, waits that long, then kills. Resolves when the process has ended. */
  stop(signal: NodeJS.Signals, limitMs: number): Promise<Exit>;
}

/** Starts a long-lived process in a session of its own, so that a Ctrl-C in the terminal reaches the parent alone. */
export function startChild(options: ChildOptions): Promise<Child> {
  const log = openSync(options.logFile, 'a', 0o600);
  const logStart = fstatSync(log).size;
  const [command, ...args] = [
    ...(options.prefix ?? []),
    ...boundToParent(options.signalOnParentDeath),
    options.command,
    ...options.args,
  ];
  const child = spawn(command as string, args, {
    env: options.env ?? process.env,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  let ended = false;
  const exited = new Promise<Exit>((resolve) => {
    child.once('exit', (code, signal) => {
      ended = true;
      resolve({ code, signal });
    });
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('spawn', () => {
      const pid = child.pid as number;
      resolve({
        pid,
        identity: identify(pid),
        exited,
        hasExited: () => ended,
        lastWords: () => lastLines(options.logFile, { from: logStart }),
        async stop(signal, limitMs) {
          if (!ended) child.kill(signal);
          const timer = setTimeout(() => child.kill('SIGKILL'), limitMs);
          try {
            return await exited;
          } finally {
            clearTimeout(timer);
          }
        },
      });
    });
  });
}

/** Ends a process that is not our child: signal, wait, kill. True when it has gone. */
export async function endProcess(
  identity: ProcessIdentity,
  options: { signal: NodeJS.Signals; limitMs: number },
): Promise<boolean> {
  signalSafely(identity, options.signal);
  if (await hasGone(identity, options.limitMs)) return true;
  signalSafely(identity, 'SIGKILL');
  return hasGone(identity, 5_000);
}

async function hasGone(identity: ProcessIdentity, limitMs: number): Promise<boolean> {
  const deadline = Date.now() + limitMs;
  while (identify(identity.pid)?.startedAt === identity.startedAt) {
    if (Date.now() > deadline) return false;
    await sleep(25);
  }
  return true;
}

function signalSafely(identity: ProcessIdentity, signal: NodeJS.Signals): void {
  if (identify(identity.pid)?.startedAt !== identity.startedAt) return;
  try {
    process.kill(identity.pid, signal);
  } catch {
    // It ended between the look and the signal, or is another user's: the caller sees it in the result.
  }
}

/** The end of a log, for an error message; nothing before `from`, unless the log has been cut since. */
export function lastLines(file: string, { linesMax = 15, from = 0 } = {}): string {
  try {
    const descriptor = openSync(file, 'r');
    try {
      const bytesMax = 16_384;
      const { size } = fstatSync(descriptor);
      const buffer = Buffer.alloc(Math.min(size < from ? size : size - from, bytesMax));
      readSync(descriptor, buffer, 0, buffer.length, size - buffer.length);
      return buffer.toString('utf8').trimEnd().split('\n').slice(-linesMax).join('\n');
    } finally {
      closeSync(descriptor);
    }
  } catch {
    return '';
  }
}

const deathSignalSupported = lazily(
  () =>
    process.platform === 'linux' &&
    spawnSync('setpriv', ['--pdeathsig', 'TERM', 'true'], { stdio: 'ignore', timeout: 5_000 }).status === 0,
);

function boundToParent(signal: NodeJS.Signals): readonly string[] {
  return deathSignalSupported() ? ['setpriv', '--pdeathsig', signal.replace('SIG', '')] : [];
}

function lazily<T>(compute: () => T): () => T {
  let known: { value: T } | undefined;
  return () => (known ??= { value: compute() }).value;
}
