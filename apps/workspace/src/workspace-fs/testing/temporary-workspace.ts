import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Strategy } from '../beneath.js';
import { openWorkspaceFs, type WorkspaceFs, type WorkspaceOptions } from '../workspace-fs.js';

export const strategies: readonly Strategy[] = ['openat2', 'walk'];

/** A workspace of its own for one test, with another tenant and a folder outside, each holding a secret that no answer may carry. */
export type TemporaryWorkspace = Disposable & {
  files: WorkspaceFs;
  root: string;
  /** The folder of tenant acme, which the test may arrange as a sandbox would. */
  acme: string;
  outside: string;
  /** All that is outside of acme's folder, for comparing before and after. */
  snapshotElsewhere(): Record<string, string>;
};

export const secret = 'a secret of somebody else';

/** The machine's real disk, where a test is about bytes that stay. */
export const disk = tmpdir();
// Elsewhere memory serves: waiting for the disk would leave a race with few tries.
const memory = existsSync('/dev/shm') ? '/dev/shm' : disk;

export function temporaryWorkspace(options: WorkspaceOptions = {}, place = memory): TemporaryWorkspace {
  const base = mkdtempSync(join(place, 'reef-workspace-'));
  const root = join(base, 'workspace');
  const outside = join(base, 'outside');
  const acme = join(root, 'acme');
  for (const directory of [outside, acme, join(root, 'other')]) mkdirSync(directory, { recursive: true });
  writeFileSync(join(outside, 'secret'), secret);
  writeFileSync(join(root, 'other', 'secret'), secret);
  const files = openWorkspaceFs(root, options);
  return {
    files,
    root,
    acme,
    outside,
    snapshotElsewhere: () => ({
      ...snapshot(base, '', (path) => path === 'workspace/acme' || path === 'workspace/.staging'),
    }),
    [Symbol.dispose]() {
      files[Symbol.dispose]();
      rmSync(base, { recursive: true, force: true });
    },
  };
}

function snapshot(base: string, below: string, leaveOut: (path: string) => boolean): Record<string, string> {
  const found: Record<string, string> = {};
  for (const entry of readdirSync(join(base, below), { withFileTypes: true })) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    if (leaveOut(path)) continue;
    if (entry.isDirectory()) Object.assign(found, { [path]: 'directory' }, snapshot(base, path, leaveOut));
    else if (entry.isSymbolicLink()) found[path] = `link to ${readlinkSync(join(base, path))}`;
    else found[path] = entry.isFile() ? readFileSync(join(base, path), 'utf8') : 'special';
  }
  return found;
}

/** Tests print how much they tried, since a count of nothing found means nothing without it. */
export const report = (line: string): void => void process.stdout.write(`${line}\n`);
