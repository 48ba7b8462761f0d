import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { afterAll, describe, expect, test } from '@jest/globals';
import type { Strategy } from './beneath.js';
import { operations } from './testing/operations.js';
import {
  report,
  secret,
  strategies,
  temporaryWorkspace,
  type TemporaryWorkspace,
} from './testing/temporary-workspace.js';
import { openWorkspaceFs } from './workspace-fs.js';

let probes = 0;
afterAll(() => report(`path attacks: ${probes} probes, 0 escapes`));

type Answers = Record<string, string>;

/** Tries every operation on a path, and fails if one shows a secret or changes anything outside the tenant's folder. */
async function attack(
  strategy: Strategy,
  path: string,
  arrange: (workspace: TemporaryWorkspace) => void,
): Promise<Answers> {
  const answers: Answers = {};
  for (const [name, operation] of Object.entries(operations)) {
    using workspace = temporaryWorkspace({ strategy });
    writeFileSync(`${workspace.acme}/ordinary`, 'ordinary');
    arrange(workspace);
    const before = workspace.snapshotElsewhere();
    const answer = await operation(workspace.files, path);
    probes++;
    expect([name, JSON.stringify(answer)]).not.toEqual([name, expect.stringContaining(secret)]);
    expect([name, workspace.snapshotElsewhere()]).toEqual([name, before]);
    expect([name, readdirSync(workspace.root).sort()]).not.toEqual([
      name,
      expect.arrayContaining(['moved', 'written']),
    ]);
    answers[name] = answer.ok ? 'ok' : answer.code;
  }
  return answers;
}

const lexical: Record<string, readonly string[]> = {
  '1 chains of ..': [
    '..',
    '../other/secret',
    '../../outside/secret',
    'a/../../other/secret',
    'a/../ordinary',
    '../'.repeat(40) + 'etc/passwd',
  ],
  '2 absolute': ['/etc/passwd', '//etc/passwd', '/', 'file:///etc/passwd', '///'],
  '5 half characters': ['\ud800', 'a/\udfff', '\ud83d/x'],
  '6 backslashes': ['..\\other\\secret', 'C:\\x', '\\\\host\\share', 'a\\b'],
  '7 control characters': ['ordinary\0', 'ordinary\0.md', 'a\r\nb', 'a\x1b[2Jb', 'a\x7f', '\t'],
  '8 look-alikes': [
    '\uff0e\uff0e/other',
    '\u2025/other',
    'a\uff0fb',
    'a\u2215b',
    'cafe\u0301',
    '\u212b',
    'a\u202eb',
    'a\u200bb',
    '\ufeffordinary',
  ],
  '10 trailing': [
    'ordinary.',
    'ordinary ',
    'ordinary/',
    'ordinary/.',
    'ordinary/..',
    ' ordinary',
    './ordinary',
    'a//b',
    '',
  ],
  '12 a link followed by ..': ['link/../../other/secret', 'link/..'],
  '16 the process file system': [
    '/proc/self/root/etc/passwd',
    '/proc/self/fd/0',
    '/dev/fd/0',
    '../../../../proc/self/environ',
  ],
  '19 lengths': [
    'x'.repeat(256),
    'é'.repeat(128),
    `${'d/'.repeat(2048)}x`,
    'x/'.repeat(64) + 'x',
    'd/'.repeat(10_000) + 'x',
  ],
};

describe.each(strategies)('with %s', (strategy) => {
  test.each(Object.entries(lexical))('%s: each operation refuses the path by its text', async (_class, paths) => {
    using workspace = temporaryWorkspace({ strategy });
    writeFileSync(`${workspace.acme}/ordinary`, 'ordinary');
    const before = workspace.snapshotElsewhere();
    for (const path of paths) {
      for (const [name, operation] of Object.entries(operations)) {
        // The empty path is the workspace itself, for what works on directories.
        if (path === '' && ['list', 'walk', 'mkdir'].includes(name)) continue;
        const answer = await operation(workspace.files, path);
        probes++;
        expect([name, path, answer]).toEqual([
          name,
          path,
          { ok: false, code: 'path_refused', reason: expect.any(String) },
        ]);
      }
    }
    expect(workspace.snapshotElsewhere()).toEqual(before);
    expect(readdirSync(workspace.acme)).toEqual(['ordinary']);
  });

  test.each([
    '%2e%2e',
    '%2e%2e%2fother',
    '%252e%252e',
    '..%2f..%2fother',
    '..%c0%af',
    '.git',
    '.env',
    '~root',
    '-rf',
    '*',
    '$HOME',
    'C:',
    ';id',
  ])('3, 4, 20: %j is an ordinary name, and stays inside', async (name) => {
    using workspace = temporaryWorkspace({ strategy });
    const before = workspace.snapshotElsewhere();
    expect(await workspace.files.write('acme', `${name}/x`, Buffer.from('mine'))).toMatchObject({ ok: true });
    expect(readFileSync(`${workspace.acme}/${name}/x`, 'utf8')).toBe('mine');
    expect(await workspace.files.remove('acme', name, { recursive: true })).toMatchObject({ ok: true });
    expect(readdirSync(workspace.acme)).toEqual([]);
    expect(workspace.snapshotElsewhere()).toEqual(before);
    probes += 2;
  });

  test('9: names that differ only in case are two files', async () => {
    using workspace = temporaryWorkspace({ strategy });
    await workspace.files.write('acme', 'notes', Buffer.from('lower'));
    await workspace.files.write('acme', 'NOTES', Buffer.from('upper'));
    expect(await workspace.files.read('acme', 'notes')).toMatchObject({ bytes: Buffer.from('lower') });
    expect(await workspace.files.read('acme', 'NOTES')).toMatchObject({ bytes: Buffer.from('upper') });
    probes += 2;
  });

  test('14: a root that is renamed and replaced by a link is still the root that was opened', async () => {
    using workspace = temporaryWorkspace({ strategy });
    writeFileSync(`${workspace.acme}/ordinary`, 'ordinary');
    mkdirSync(`${workspace.outside}/acme`);
    writeFileSync(`${workspace.outside}/acme/ordinary`, secret);
    renameSync(workspace.root, `${workspace.root}.old`);
    symlinkSync(workspace.outside, workspace.root);
    expect(await workspace.files.read('acme', 'ordinary')).toMatchObject({ bytes: Buffer.from('ordinary') });
    expect(await workspace.files.write('acme', 'new', Buffer.from('new'))).toMatchObject({ ok: true });
    expect(readFileSync(`${workspace.root}.old/acme/new`, 'utf8')).toBe('new');
    expect(readdirSync(`${workspace.outside}/acme`)).toEqual(['ordinary']);
    expect(await workspace.files.list('acme', '')).toMatchObject({ entries: [{ path: 'new' }, { path: 'ordinary' }] });
    probes += 3;
  });

  test('11: a tenant whose own folder is a link has no files', async () => {
    using workspace = temporaryWorkspace({ strategy });
    symlinkSync(workspace.outside, `${workspace.root}/linked`);
    const before = workspace.snapshotElsewhere();
    for (const [name, operation] of Object.entries(operations)) {
      if (name === 'moveTo') continue; // It would look for its source first.
      expect([name, await operation(workspace.files, 'secret', 'linked')]).toEqual([
        name,
        expect.objectContaining({ code: 'path_refused' }),
      ]);
      probes++;
    }
    expect(await workspace.files.usage('linked')).toMatchObject({ code: 'path_refused' });
    expect(workspace.snapshotElsewhere()).toEqual(before);
  });

  test('16, 18: nothing on another mount is reached, /proc and its magic links and /dev among them', async () => {
    // The machine's own root serves as a workspace: its mounts stand where tenants would.
    using files = openWorkspaceFs('/', { strategy });
    for (const [tenant, path] of [
      ['proc', 'version'],
      ['proc', 'self/root/etc/passwd'],
      ['proc', 'self/cwd'],
      ['proc', 'self/fd/0'],
      ['dev', 'null'],
      ['dev', 'fd/0'],
      ['sys', 'kernel'],
    ] as const) {
      for (const name of ['read', 'readStream', 'list', 'walk', 'stat', 'write', 'mkdir', 'moveFrom'] as const) {
        const answer = await operations[name]?.(files, path, tenant);
        expect([name, tenant, path, answer]).toEqual([
          name,
          tenant,
          path,
          expect.objectContaining({ ok: false, code: 'path_refused' }),
        ]);
        probes++;
      }
      expect(await files.list(tenant, '')).toMatchObject({ code: 'path_refused' });
      expect(await files.usage(tenant)).toMatchObject({ code: 'path_refused' });
      probes += 2;
    }
    expect(existsSync('/.staging')).toBe(false);
  });

  test('17: a socket is neither read nor written', async () => {
    using workspace = temporaryWorkspace({ strategy });
    const server = createServer().listen(`${workspace.acme}/socket`);
    await once(server, 'listening');
    expect(await workspace.files.read('acme', 'socket')).toMatchObject({ code: 'not_a_file' });
    expect(await workspace.files.write('acme', 'socket', Buffer.from(''))).toMatchObject({ code: 'not_a_file' });
    expect(await workspace.files.stat('acme', 'socket')).toMatchObject({ kind: 'other' });
    await new Promise((resolve) => server.close(resolve));
    probes += 3;
  });

  test('19: a name of 255 bytes and a path of 4,096 are written and read back', async () => {
    using workspace = temporaryWorkspace({ strategy });
    const longest = `${'d'.repeat(240)}/`.repeat(16) + 'e'.repeat(240);
    for (const path of ['x'.repeat(255), longest, Array(64).fill('d').join('/')]) {
      expect(await workspace.files.write('acme', path, Buffer.from(path))).toMatchObject({ ok: true });
      expect(await workspace.files.read('acme', path)).toMatchObject({ ok: true, bytes: Buffer.from(path) });
      probes += 2;
    }
    const paths: string[] = [];
    for await (const entry of workspace.files.walk('acme', '')) if (entry.ok) paths.push(entry.path);
    expect(paths).toContain(longest);
    expect(await workspace.files.remove('acme', 'd', { recursive: true })).toMatchObject({ ok: true, files: 64 });
    expect(await workspace.files.remove('acme', longest)).toMatchObject({ ok: true });
  });

  test('19: a tree of 10,000 levels made by a sandbox fills the quota, can be looked at, and can be removed', async () => {
    using workspace = temporaryWorkspace({ strategy });
    const dig = `for (let i = 0; i < 10000; i++) { fs.mkdirSync('d'); process.chdir('d'); }`;
    execFileSync(process.execPath, ['-e', dig], { cwd: workspace.acme });
    expect(await workspace.files.usage('acme')).toMatchObject({ code: 'quota_exceeded' });
    expect(await workspace.files.write('acme', 'x', Buffer.from('x'))).toMatchObject({ code: 'quota_exceeded' });
    expect(await workspace.files.list('acme', '', { recursive: true })).toMatchObject({
      ok: true,
      entries: { length: 64 },
    });
    expect(await workspace.files.remove('acme', 'd', { recursive: true })).toEqual({
      ok: true,
      bytes: 0,
      files: 10_000,
    });
    expect(await workspace.files.write('acme', 'x', Buffer.from('x'))).toEqual({ ok: true, bytes: 1, files: 1 });
    probes += 5;
  }, 60_000);

  test('24: what is not the name of a tenant reaches nothing', async () => {
    using workspace = temporaryWorkspace({ strategy });
    const before = workspace.snapshotElsewhere();
    for (const tenant of [
      '',
      '.',
      '..',
      '../outside',
      'other/..',
      '/etc',
      'Acme',
      'acme/x',
      '.staging',
      'a\0',
      'é',
      'x'.repeat(41),
      '%2e%2e',
    ]) {
      for (const [name, operation] of Object.entries(operations)) {
        expect([name, tenant, await operation(workspace.files, 'secret', tenant)]).toEqual([
          name,
          tenant,
          expect.objectContaining({ code: 'path_refused' }),
        ]);
        probes++;
      }
      expect(await workspace.files.usage(tenant)).toMatchObject({ code: 'path_refused' });
    }
    expect(workspace.snapshotElsewhere()).toEqual(before);
  });

  test.each([0o000, 0o022, 0o777])('25: under a umask of %o a file is 0600 and a directory 0700', async (umask) => {
    using workspace = temporaryWorkspace({ strategy });
    const before = process.umask(umask);
    try {
      expect(await workspace.files.write('acme', 'a/b/file', Buffer.from('x'))).toMatchObject({ ok: true });
    } finally {
      process.umask(before);
    }
    expect(statSync(`${workspace.acme}/a/b/file`).mode & 0o7777).toBe(0o600);
    expect(statSync(`${workspace.acme}/a/b`).mode & 0o7777).toBe(0o700);
    expect(statSync(`${workspace.acme}/a`).mode & 0o7777).toBe(0o700);
    probes++;
  });

  test('25: replacing a file keeps that it is executable, and drops setuid and the rights of others', async () => {
    using workspace = temporaryWorkspace({ strategy });
    writeFileSync(`${workspace.acme}/run.sh`, 'x');
    execFileSync('chmod', ['6777', `${workspace.acme}/run.sh`]);
    await workspace.files.write('acme', 'run.sh', Buffer.from('y'));
    expect(statSync(`${workspace.acme}/run.sh`).mode & 0o7777).toBe(0o700);
    probes++;
  });

  test('26: what is being written is never in the workspace under another name, and nothing is left behind', async () => {
    using workspace = temporaryWorkspace({ strategy, bytesMax: 1_000_000 });
    const writes = Array.from({ length: 40 }, (_, n) =>
      workspace.files.write('acme', `f${n % 4}`, Buffer.alloc(10_000 + n)),
    );
    const seen = new Set<string>();
    for (let look = 0; look < 40; look++) {
      for (const name of readdirSync(workspace.acme)) seen.add(name);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(writes);
    await workspace.files.write('acme', 'too-much', Buffer.alloc(999_999));
    mkdirSync(`${workspace.acme}/directory`);
    await workspace.files.write('acme', 'directory', Buffer.from('x'));
    for (const name of seen) expect(name).toMatch(/^f[0-3]$/);
    expect(readdirSync(`${workspace.root}/.staging`)).toEqual([]);
    probes += 42;
  });
});

type Trap = {
  title: string;
  path: string;
  arrange: (workspace: TemporaryWorkspace) => void;
  answers: Partial<Answers>;
};

const linkAnswers = {
  read: 'path_refused',
  readStream: 'path_refused',
  list: 'path_refused',
  walk: 'path_refused',
  stat: 'ok',
  write: 'path_refused',
  writeNew: 'exists',
  mkdir: 'path_refused',
  moveFrom: 'path_refused',
  moveTo: 'path_refused',
  remove: 'ok',
  removeTree: 'ok',
};
const throughLinkAnswers = Object.fromEntries(Object.keys(linkAnswers).map((name) => [name, 'path_refused']));
const specialAnswers = {
  ...linkAnswers,
  read: 'not_a_file',
  readStream: 'not_a_file',
  list: 'not_a_directory',
  walk: 'not_a_directory',
  mkdir: 'not_a_directory',
};

const traps: readonly Trap[] = [
  {
    title: '11 link to a file',
    path: 'link',
    arrange: ({ acme, outside }) => symlinkSync(`${outside}/secret`, `${acme}/link`),
    answers: linkAnswers,
  },
  {
    title: '11 link to a directory',
    path: 'link',
    arrange: ({ acme, outside }) => symlinkSync(outside, `${acme}/link`),
    answers: linkAnswers,
  },
  {
    title: '11 relative link',
    path: 'link',
    arrange: ({ acme }) => symlinkSync('../other/secret', `${acme}/link`),
    answers: linkAnswers,
  },
  {
    title: '11 link within the workspace',
    path: 'link',
    arrange: ({ acme }) => symlinkSync('ordinary', `${acme}/link`),
    answers: linkAnswers,
  },
  {
    title: '11 dangling link',
    path: 'link',
    arrange: ({ acme, outside }) => symlinkSync(`${outside}/new`, `${acme}/link`),
    answers: linkAnswers,
  },
  {
    title: '11 link to itself',
    path: 'link',
    arrange: ({ acme }) => symlinkSync('link', `${acme}/link`),
    answers: linkAnswers,
  },
  {
    title: '11 chain of links',
    path: 'link',
    arrange: ({ acme, outside }) => (
      symlinkSync(`${outside}/secret`, `${acme}/last`),
      symlinkSync('last', `${acme}/link`)
    ),
    answers: linkAnswers,
  },
  {
    title: '16 link to the process root',
    path: 'link',
    arrange: ({ acme }) => symlinkSync('/proc/self/root', `${acme}/link`),
    answers: linkAnswers,
  },
  {
    title: '16 link to a descriptor',
    path: 'link',
    arrange: ({ acme }) => symlinkSync('/dev/fd/0', `${acme}/link`),
    answers: linkAnswers,
  },
  {
    title: '11 below a linked directory',
    path: 'link/secret',
    arrange: ({ acme, outside }) => symlinkSync(outside, `${acme}/link`),
    answers: throughLinkAnswers,
  },
  {
    title: '11 a new file below a linked directory',
    path: 'link/new',
    arrange: ({ acme, outside }) => symlinkSync(outside, `${acme}/link`),
    answers: throughLinkAnswers,
  },
  {
    title: '11 below a linked directory, deeper',
    path: 'a/b/link/c/secret',
    arrange: ({ acme, outside }) => {
      mkdirSync(`${acme}/a/b`, { recursive: true });
      mkdirSync(`${outside}/c`);
      writeFileSync(`${outside}/c/secret`, secret);
      symlinkSync(outside, `${acme}/a/b/link`);
    },
    answers: throughLinkAnswers,
  },
  {
    title: '11 below a link to another tenant',
    path: 'link/secret',
    arrange: ({ acme }) => symlinkSync('../other', `${acme}/link`),
    answers: throughLinkAnswers,
  },
  {
    title: '15 hard link to a file outside',
    path: 'hard',
    arrange: ({ acme, outside }) => linkSync(`${outside}/secret`, `${acme}/hard`),
    answers: { ...linkAnswers, list: 'not_a_directory', walk: 'not_a_directory', mkdir: 'not_a_directory' },
  },
  {
    title: '15 hard link to a file of another tenant',
    path: 'hard',
    arrange: ({ acme, root }) => linkSync(`${root}/other/secret`, `${acme}/hard`),
    answers: { ...linkAnswers, list: 'not_a_directory', walk: 'not_a_directory', mkdir: 'not_a_directory' },
  },
  {
    title: '17 pipe',
    path: 'pipe',
    arrange: ({ acme }) => void execFileSync('mkfifo', [`${acme}/pipe`]),
    answers: { ...specialAnswers, write: 'not_a_file', moveTo: 'not_a_file' },
  },
  {
    title: '11 a directory that holds links is listed without what they lead to',
    path: 'tree',
    arrange: ({ acme, outside }) => {
      mkdirSync(`${acme}/tree`);
      symlinkSync(outside, `${acme}/tree/link`);
      symlinkSync('/', `${acme}/tree/everything`);
    },
    answers: {
      list: 'ok',
      walk: 'ok',
      remove: 'not_empty',
      removeTree: 'ok',
      read: 'not_a_file',
      write: 'not_a_file',
      moveFrom: 'ok',
    },
  },
];

describe('what a sandbox may leave behind', () => {
  test.each(traps)('$title: leads nowhere, and both strategies answer alike', async ({ path, arrange, answers }) => {
    const [byOpenat2, byWalk] = [await attack('openat2', path, arrange), await attack('walk', path, arrange)];
    expect(byOpenat2).toMatchObject(answers);
    expect(byWalk).toEqual(byOpenat2);
  });

  test.each(strategies)('17 (%s): a device is neither read nor written', async (strategy) => {
    using workspace = temporaryWorkspace({ strategy });
    try {
      execFileSync('mknod', [`${workspace.acme}/null`, 'c', '1', '3'], { stdio: 'ignore' });
    } catch {
      return report('path attacks: this machine lets nobody make a device, so that probe is left out');
    }
    expect(await workspace.files.read('acme', 'null')).toMatchObject({ code: 'not_a_file' });
    expect(await workspace.files.write('acme', 'null', Buffer.from('x'))).toMatchObject({ code: 'not_a_file' });
    expect(lstatSync(`${workspace.acme}/null`).isCharacterDevice()).toBe(true);
    probes += 2;
  });
});
