import { spawnSync } from 'node:child_process';

/** How a command is run without being root, which PostgreSQL refuses. */
export interface Unprivileged {
  readonly prefix: readonly string[];
  /** The owner its data directory needs; undefined when no change of owner is needed. */
  readonly ownerId: number | undefined;
}

const userId = 1000;

// A user namespace shows root's files as the user's own: no change of owner, any folder works.
const namespace = ['unshare', '--user', `--map-user=${userId}`, `--map-group=${userId}`];

// Where a container forbids namespaces: another user, who keeps root's right to walk through folders closed to others.
const otherUser = [
  'setpriv',
  `--reuid=${userId}`,
  `--regid=${userId}`,
  '--clear-groups',
  '--inh-caps=+dac_override',
  '--ambient-caps=+dac_override',
];

/** The first way that works here. Throws, saying what to do, when we are root and none does. */
export function unprivileged(works: (command: readonly string[]) => boolean = tried): Unprivileged {
  if (process.getuid?.() !== 0) return { prefix: [], ownerId: undefined };
  if (works([...namespace, 'true'])) return { prefix: namespace, ownerId: undefined };
  if (works([...otherUser, 'true'])) return { prefix: otherUser, ownerId: userId };
  throw new Error(
    'PostgreSQL refuses to run as root, and this machine allows neither user namespaces (unshare) nor setpriv. ' +
      'Run reef as an ordinary user, or set REEF_DATABASE_URL to an existing server.',
  );
}

function tried(command: readonly string[]): boolean {
  const [name, ...args] = command;
  return spawnSync(name as string, args, { stdio: 'ignore', timeout: 5_000 }).status === 0;
}
