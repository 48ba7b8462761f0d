import { execFileSync } from 'node:child_process';
import { existsSync, statfsSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { findNatsServer, isPortFree, postgresBinaries, unprivileged } from '@reef/embedded';
import { runningSupervisor } from '../stack/home-lock.js';
import { reachExternal } from '../stack/external/require-external.js';
import { layout as layoutOf } from '../stack/layout.js';
import type { Layout } from '../stack/layout.js';
import { keyVariablesOf } from '../stack/providers-file.js';
import { hasProvider } from '../stack/services.js';

const diskBytesNeeded = 2e9;
const memoryBytesNeeded = 2e9;

type Finding =
  | { readonly ok: true; readonly text: string }
  /** `needed` is false where the stack runs all the same. */
  | { readonly ok: false; readonly text: string; readonly mend: string; readonly needed: boolean };

/** Says what is there, what is missing, and how to mend it. Exit code 1 when something needed is missing. */
export async function doctor(): Promise<number> {
  const layout = layoutOf(process.env);
  const findings = [
    node(),
    npm(),
    (await external('REEF_DATABASE_URL', 'a PostgreSQL of version 17 or newer')) ?? postgres(),
    (await external('REEF_NATS_URL', 'a NATS of version 2.10 or newer with JetStream')) ?? (await natsServer(layout)),
    await port(layout),
    disk(layout),
    memory(),
    docker(),
    providers(layout),
  ];
  for (const finding of findings) {
    process.stdout.write(`${finding.ok ? '✓' : finding.needed ? '✗' : '·'} ${finding.text}\n`);
    if (!finding.ok) process.stdout.write(`    ${finding.mend}\n`);
  }
  return findings.some((finding) => !finding.ok && finding.needed) ? 1 : 0;
}

function node(): Finding {
  const text = `Node ${process.versions.node}`;
  if (Number(process.versions.node.split('.')[0]) >= 24) return { ok: true, text };
  return { ok: false, needed: true, text, mend: 'Start through ./reef, which fetches Node 24.' };
}

function npm(): Finding {
  const version = said('npm', ['--version']);
  if (version !== undefined) return { ok: true, text: `npm ${version}` };
  return {
    ok: false,
    needed: true,
    text: 'npm is not on PATH',
    mend: 'Install it; it comes with Node from https://nodejs.org.',
  };
}

async function external(setting: 'REEF_DATABASE_URL' | 'REEF_NATS_URL', wanted: string): Promise<Finding | undefined> {
  const reached = await reachExternal(setting, process.env);
  if (reached === undefined) return undefined;
  if (reached.ok) return { ok: true, text: `${setting}: ${reached.text}` };
  return {
    ok: false,
    needed: true,
    text: `${setting}: ${reached.text}`,
    mend: `Let it name ${wanted}, or unset it to use the embedded one.`,
  };
}

function postgres(): Finding {
  try {
    const version = said(postgresBinaries().postgres, ['--version']) ?? 'does not run';
    const way = unprivileged().prefix[0];
    return { ok: true, text: `${version}${way === undefined ? '' : `, without root through ${way}`}` };
  } catch (error) {
    return { ok: false, needed: true, text: 'PostgreSQL', mend: (error as Error).message };
  }
}

async function natsServer(layout: Layout): Promise<Finding> {
  try {
    const found = await findNatsServer({ cacheDir: layout.cacheDir, env: process.env, offline: true });
    return { ok: true, text: `nats-server ${found.version} (${found.source}: ${found.path})` };
  } catch {
    return {
      ok: false,
      needed: false,
      text: 'nats-server is not here yet',
      mend: 'The first ./reef up fetches it: its release, else the distribution’s package, else go. Or name one in REEF_NATS_SERVER.',
    };
  }
}

async function port(layout: Layout): Promise<Finding> {
  const supervisor = runningSupervisor(layout);
  if (supervisor !== undefined) return { ok: true, text: `a stack runs here (process ${supervisor.pid})` };
  const text = `port ${layout.port}`;
  if (await isPortFree(layout.port)) return { ok: true, text: `${text} is free` };
  return {
    ok: false,
    needed: true,
    text: `${text} is taken`,
    mend: `Choose another one: REEF_PORT=${layout.port + 1}`,
  };
}

function disk(layout: Layout): Finding {
  const { bavail, bsize } = statfsSync(nearestFolder(layout.home));
  const text = `${((bavail * bsize) / 1e9).toFixed(1)} GB free where ${layout.home} lies`;
  if (bavail * bsize >= diskBytesNeeded) return { ok: true, text };
  return { ok: false, needed: false, text, mend: 'Make room, or set REEF_HOME to a folder on a larger disk.' };
}

/** A home that is not there yet will lie where its nearest parent lies. */
function nearestFolder(path: string): string {
  return existsSync(path) ? path : nearestFolder(dirname(path));
}

function memory(): Finding {
  const text = `${availableParallelism()} cores, ${(totalmem() / 1e9).toFixed(1)} GB of memory`;
  if (totalmem() >= memoryBytesNeeded) return { ok: true, text };
  return { ok: false, needed: false, text, mend: 'A whole stack takes about 1 GB.' };
}

function docker(): Finding {
  const version = said('docker', ['version', '--format', '{{.Server.Version}}']);
  if (version) return { ok: true, text: `Docker ${version}` };
  return {
    ok: false,
    needed: false,
    text: 'no Docker engine',
    mend: 'Not needed: tests and ./reef up use embedded servers.',
  };
}

function providers({ providersFile }: Layout): Finding {
  const unset = keyVariablesOf(providersFile).filter((name) => !process.env[name]);
  if (unset.length > 0) {
    return {
      ok: false,
      needed: true,
      text: `reef.config.json takes a key from ${unset.join(', ')}, which is not set`,
      mend: 'Set it where ./reef up is called; it reaches dispatch alone.',
    };
  }
  if (hasProvider(process.env)) return { ok: true, text: 'a model provider is configured' };
  return {
    ok: false,
    needed: false,
    text: 'no model provider: a simulated one answers',
    mend: 'Set OPENAI_API_KEY or ANTHROPIC_API_KEY, or write reef.config.json.',
  };
}

function said(command: string, args: readonly string[]): string | undefined {
  try {
    return execFileSync(command, [...args], {
      encoding: 'utf8',
      timeout: 10_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return undefined;
  }
}
