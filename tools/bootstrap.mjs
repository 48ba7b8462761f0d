// Prepares a clone on any Node ≥ 20 and prints the path of the Node 24 to run on. Everything for people goes to stderr.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ensureBuilt, isBuilt } from './bootstrap/build.mjs';
import { ensureInstalled, isInstalled } from './bootstrap/install.mjs';
import { withLock } from './bootstrap/lock.mjs';
import { ensureNode } from './bootstrap/node.mjs';
import { cacheDirectory, root } from './bootstrap/paths.mjs';
import { Failure } from './bootstrap/step.mjs';

// These must work in a clone whose sources do not compile: one has to be able to stop what runs.
const runsOnOldBuild = ['down', 'status', 'logs'];

try {
  const command = process.argv[2] ?? 'help';
  const node = await ensureNode();
  const usable = runsOnOldBuild.includes(command) && existsSync(join(root, 'apps/cli/dist/main.js')) && isInstalled();
  if (!usable && !(isInstalled() && isBuilt())) {
    await withLock(join(cacheDirectory(), 'locks'), root, async () => {
      await ensureInstalled(node);
      await ensureBuilt(node);
    });
  }
  process.stdout.write(`${node}\n`);
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  process.stderr.write(`\nreef: ${error.message}\n`);
  process.exitCode = 1;
}
