import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join, relative } from 'node:path';
import { root } from './paths.mjs';
import { run, step } from './step.mjs';

const compileLimitMs = 5 * 60_000;
const stampFile = join(root, 'node_modules', '.cache', 'reef', 'built');
const skippedFolders = new Set(['node_modules', 'dist', 'test', 'coverage']);

/** Whether what was built last was built from exactly these files: names, sizes and times. Misses no deletion. */
export function isBuilt() {
  return outputIsThere() && readStamp() === fingerprint();
}

/** Compiles what changed; then runs the build of every workspace that has one of its own, such as a web page. */
export async function ensureBuilt(node) {
  if (isBuilt()) return;
  const before = fingerprint();
  await step('compiling', () =>
    run(node, [join(root, 'node_modules/typescript-native/bin/tsc'), '-b'], {
      cwd: root,
      limitMs: compileLimitMs,
      telling: /error TS/,
      advice: 'The sources do not compile; mend them and run ./reef again.',
    }),
  );
  for (const workspace of workspacesWithBuild()) {
    await step(`building ${workspace}`, () =>
      run('npm', ['run', 'build', '--silent'], {
        cwd: join(root, workspace),
        env: { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH}` },
        limitMs: compileLimitMs,
        advice: `The build of ${workspace} failed; mend it and run ./reef again.`,
      }),
    );
  }
  mkdirSync(dirname(stampFile), { recursive: true });
  writeFileSync(stampFile, before);
}

function readStamp() {
  return existsSync(stampFile) ? readFileSync(stampFile, 'utf8') : undefined;
}

function workspaces() {
  return ['apps', 'libs'].flatMap((group) =>
    readdirSync(join(root, group))
      .map((name) => `${group}/${name}`)
      .filter((path) => existsSync(join(root, path, 'package.json'))),
  );
}

function workspacesWithBuild() {
  return workspaces().filter(
    (path) => JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8')).scripts?.build !== undefined,
  );
}

/** Somebody may have removed it; then the same sources have to be compiled again. */
function outputIsThere() {
  return workspaces()
    .filter((path) => ['tsconfig.json', 'src'].every((part) => existsSync(join(root, path, part))))
    .every((path) => existsSync(join(root, path, 'dist')));
}

function fingerprint() {
  const hash = createHash('sha256');
  for (const file of ['tsconfig.json', 'tsconfig.base.json', 'node_modules/typescript-native/package.json']) {
    describe(join(root, file), hash);
  }
  for (const workspace of workspaces()) {
    describeFolder(join(root, workspace), hash);
  }
  return hash.digest('hex');
}

function describeFolder(folder, hash) {
  for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (skippedFolders.has(entry.name)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) describeFolder(path, hash);
    else if (!entry.name.endsWith('.spec.ts')) describe(path, hash);
  }
}

function describe(path, hash) {
  const found = statSync(path, { throwIfNoEntry: false });
  hash.update(`${relative(root, path)}\0${found?.size}\0${found?.mtimeMs}\n`);
}
