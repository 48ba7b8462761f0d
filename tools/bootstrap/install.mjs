import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { root } from './paths.mjs';
import { run, step } from './step.mjs';

const installLimitMs = 15 * 60_000;
const lockFile = join(root, 'package-lock.json');
const stampFile = join(root, 'node_modules', '.reef-lock-hash');

/** Whether node_modules is what package-lock.json says. */
export function isInstalled() {
  if (!existsSync(join(root, 'node_modules'))) return false;
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === lockHash()) return true;
  if (!installedByHand()) return false;
  writeFileSync(stampFile, lockHash());
  return true;
}

export async function ensureInstalled(node) {
  if (isInstalled()) return;
  const hash = lockHash();
  await step('installing packages', () =>
    run('npm', ['ci', '--no-audit', '--no-fund'], {
      cwd: root,
      env: { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH}` },
      limitMs: installLimitMs,
      advice: 'Run ./reef again; if it fails once more: npm ci --verbose',
    }),
  );
  writeFileSync(stampFile, hash);
}

function lockHash() {
  return createHash('sha256').update(readFileSync(lockFile)).digest('hex');
}

/** npm keeps a copy of what it installed; where that agrees with the lock file there is nothing to do. */
function installedByHand() {
  try {
    const wanted = JSON.parse(readFileSync(lockFile, 'utf8')).packages;
    const present = JSON.parse(readFileSync(join(root, 'node_modules', '.package-lock.json'), 'utf8')).packages;
    return Object.entries(wanted).every(([path, entry]) => {
      if (!path.includes('node_modules/')) return true; // The root and the workspaces themselves.
      if (entry.link) return existsSync(join(root, path));
      const found = present[path];
      return found === undefined ? entry.optional === true || entry.peer === true : found.version === entry.version;
    });
  } catch {
    return false;
  }
}
