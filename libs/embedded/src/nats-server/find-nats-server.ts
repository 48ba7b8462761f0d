import { accessSync, chmodSync, constants, copyFileSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fromDistribution } from './distribution.js';
import { fromGo } from './go.js';
import { fromRelease } from './release.js';
import { checkBinary } from './version.js';

export interface NatsServerSearch {
  /** Where a fetched server is kept for the next time. */
  readonly cacheDir: string;
  readonly env: NodeJS.ProcessEnv;
  /** Told in a few words what is being tried. */
  readonly progress?: (step: string) => void;
  /** Look only at what is here already; fetch nothing. */
  readonly offline?: boolean;
  readonly platform?: string;
  readonly arch?: string;
  /** Default /etc: where the distribution describes itself and its package mirrors. */
  readonly etcDir?: string;
}

export type NatsServerSource = 'REEF_NATS_SERVER' | 'PATH' | 'cache' | 'release' | 'distribution' | 'go';

export interface FoundNatsServer {
  readonly path: string;
  readonly version: string;
  readonly source: NatsServerSource;
}

/** The search with its defaults filled in, as each way of fetching sees it. */
export type Search = Required<NatsServerSearch>;

export type Fetched = { readonly file: string } | { readonly reason: string };

const waysToFetch = [
  { source: 'release', fetch: fromRelease },
  { source: 'distribution', fetch: fromDistribution },
  { source: 'go', fetch: fromGo },
] as const;

/**
 * A nats-server of 2.10 or newer: named by REEF_NATS_SERVER, on PATH, fetched earlier, or fetched now (release, distribution's
 * package, go). Throws one error that lists what was tried and says what to install.
 */
export async function findNatsServer(options: NatsServerSearch): Promise<FoundNatsServer> {
  const search: Search = {
    progress: () => undefined,
    offline: false,
    platform: process.platform,
    arch: process.arch,
    etcDir: '/etc',
    ...options,
  };
  const named = search.env['REEF_NATS_SERVER'];
  if (named) {
    const checked = await checkBinary(named, search.env);
    if (!checked.usable) throw new Error(`REEF_NATS_SERVER: ${checked.reason}`);
    return { path: named, version: checked.version, source: 'REEF_NATS_SERVER' };
  }

  const reasons: string[] = [];
  const cached = join(search.cacheDir, 'nats-server');
  const here = [
    ...onPath(search.env).map((path) => ({ source: 'PATH' as const, path })),
    { source: 'cache' as const, path: cached },
  ];
  for (const { source, path } of here.filter((candidate) => isExecutable(candidate.path))) {
    const checked = await checkBinary(path, search.env);
    if (checked.usable) return { path, version: checked.version, source };
    reasons.push(`${source}: ${checked.reason}`);
  }

  for (const { source, fetch } of search.offline ? [] : waysToFetch) {
    search.progress(`looking for nats-server: ${source}`);
    const got = await fetchInto(cached, search, fetch);
    if (got.usable) return { path: cached, version: got.version, source };
    reasons.push(`${source}: ${got.reason}`);
  }
  throw new Error(
    'No nats-server of 2.10 or newer could be found. Install one (https://nats.io/download) on PATH, or name it in ' +
      'REEF_NATS_SERVER, or set REEF_NATS_URL to a running server. ' +
      `Tried:\n${reasons.map((reason) => `  - ${reason}`).join('\n')}`,
  );
}

async function fetchInto(target: string, search: Search, fetch: (search: Search, workDir: string) => Promise<Fetched>) {
  mkdirSync(search.cacheDir, { recursive: true });
  const workDir = mkdtempSync(join(search.cacheDir, 'fetch-'));
  try {
    const fetched = await fetch(search, workDir);
    if ('reason' in fetched) return { usable: false as const, reason: fetched.reason };
    const checked = await checkBinary(fetched.file, search.env);
    if (!checked.usable) return checked;
    const complete = join(workDir, 'complete');
    copyFileSync(fetched.file, complete);
    chmodSync(complete, 0o755);
    // A rename, so that another start at the same moment sees the whole file or none.
    renameSync(complete, target);
    return checked;
  } finally {
    rmSync(workDir, { recursive: true, force: true });
  }
}

function onPath(env: NodeJS.ProcessEnv): readonly string[] {
  return (env['PATH'] ?? '')
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, 'nats-server'));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
