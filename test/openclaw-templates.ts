import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const VERSION = '2026.9.6';
const TEMPLATES = 'package/docs/reference/templates';
/** The package is 95 MB, of which the templates are 30 kB. */
export const FETCH_LIMIT_MS = 300_000;

/**
 * The workspace that OpenClaw itself gives a new agent: the templates of its npm package, fetched once and kept in the cache.
 * @returns file name → bytes.
 */
export async function openclawTemplates(): Promise<Map<string, Buffer>> {
  const cache = process.env['REEF_CACHE'] || join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'reef');
  const kept = join(cache, `openclaw-templates-${VERSION}`);
  if (!existsSync(kept)) await fetchInto(cache, kept);
  const files = readdirSync(kept).filter((name) => /^[A-Z]+\.md$/.test(name));
  return new Map(files.map((name) => [name, readFileSync(join(kept, name))]));
}

async function fetchInto(cache: string, kept: string): Promise<void> {
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'openclaw-'));
  try {
    const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}` };
    await run('npm', ['pack', `openclaw@${VERSION}`, '--ignore-scripts', '--silent'], { cwd: folder, env });
    await run('tar', ['-xzf', `openclaw-${VERSION}.tgz`, TEMPLATES], { cwd: folder });
    // Whoever fetched at the same time has the same: the later one is not needed.
    if (!existsSync(kept)) renameSync(join(folder, TEMPLATES), kept);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
