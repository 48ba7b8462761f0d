import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { openerFor } from './beneath.js';
import { countUsage } from './counting.js';
import { standOn } from './ground.js';
import { defaultLimits } from './limits.js';
import { Staging } from './staging.js';
import { loadSystemCalls, O_PATH, systemError } from './system-calls.js';
import { TenantLedger } from './tenant-ledger.js';
import { disk, report, strategies, temporaryWorkspace } from './testing/temporary-workspace.js';
import { openWorkspaceFs } from './workspace-fs.js';
import { move, writeAll } from './writing.js';

const bytes = (content: string): Buffer => Buffer.from(content);

describe.each(strategies)('with %s', (strategy) => {
  test('what is written is read back, and a replacement is the new content', async () => {
    using workspace = temporaryWorkspace({ strategy }, disk);
    const { files } = workspace;
    expect(await files.write('acme', 'memory/2026-11-22.md', bytes('rain'))).toEqual({ ok: true, bytes: 4, files: 2 });
    expect(await files.write('acme', 'memory/2026-11-22.md', bytes('sunshine'))).toEqual({
      ok: true,
      bytes: 8,
      files: 2,
    });
    expect(await files.read('acme', 'memory/2026-11-22.md')).toMatchObject({
      ok: true,
      bytes: bytes('sunshine'),
      sizeBytes: 8,
      executable: false,
    });
    expect(await files.read('other', 'memory/2026-11-22.md')).toMatchObject({ ok: false, code: 'not_found' });
  });

  test('a file of the size asked for is read, and one a byte larger is refused', async () => {
    using workspace = temporaryWorkspace({ strategy, fileBytesMax: 100_000 });
    const { files } = workspace;
    expect(await files.write('acme', 'large', Buffer.alloc(100_000, 'x'))).toMatchObject({ ok: true });
    expect(await files.write('acme', 'larger', Buffer.alloc(100_001))).toMatchObject({ code: 'too_large' });
    expect(await files.read('acme', 'large', { maxBytes: 100_000 })).toMatchObject({
      ok: true,
      bytes: Buffer.alloc(100_000, 'x'),
    });
    expect(await files.read('acme', 'large', { maxBytes: 99_999 })).toMatchObject({ code: 'too_large' });
    expect(await files.readStream('acme', 'large', { maxBytes: 99_999 })).toMatchObject({ code: 'too_large' });
  });

  test('a stream gives the whole file, an empty one too, and a tenant holds only so many at once', async () => {
    using workspace = temporaryWorkspace({ strategy, streamsMax: 2 });
    const { files } = workspace;
    await files.write('acme', 'full', bytes('content'));
    await files.write('acme', 'empty', bytes(''));
    const [one, two] = [await files.readStream('acme', 'full'), await files.readStream('acme', 'full')];
    expect(await files.readStream('acme', 'full')).toMatchObject({ code: 'busy' });
    if (!one.ok || !two.ok) throw new Error('the first two are within the limit');
    expect([await text(one.stream), await text(two.stream)]).toEqual(['content', 'content']);
    await new Promise((resolve) => setImmediate(resolve));
    for (let again = 0; again < 4; again++) {
      const empty = await files.readStream('acme', 'empty');
      expect(empty.ok && (await text(empty.stream))).toBe('');
    }
    const again = await files.readStream('acme', 'full');
    expect(again.ok && (await text(again.stream))).toBe('content');
  });

  test('a list is sorted, comes in pages that join without gap or repeat, and tells names it cannot spell', async () => {
    using workspace = temporaryWorkspace({ strategy });
    const { files, acme } = workspace;
    const paths = [
      'AGENTS.md',
      'a',
      'a/1',
      'a/1/x',
      'a/2',
      'a-b',
      'skills',
      'skills/weather',
      'skills/weather/SKILL.md',
      'z',
    ];
    for (const path of ['AGENTS.md', 'a/1/x', 'a/2', 'a-b', 'skills/weather/SKILL.md', 'z'])
      await files.write('acme', path, bytes(path));
    writeFileSync(Buffer.concat([bytes(`${acme}/`), Buffer.of(0xff, 0xfe)]), '');
    writeFileSync(`${acme}/back\\slash`, '');
    for (const limit of [1, 2, 3, 9, 10, 11]) {
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await files.list('acme', '', {
          recursive: true,
          limit,
          ...(cursor === undefined ? {} : { cursor }),
        });
        if (!page.ok) throw new Error(page.reason);
        expect(page.entries.length).toBeLessThanOrEqual(limit);
        expect(page.hidden).toBe(2);
        seen.push(...page.entries.map((entry) => entry.path));
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      expect(seen).toEqual(paths);
    }
    expect(await files.list('acme', 'skills')).toMatchObject({
      entries: [{ path: 'skills/weather', kind: 'directory' }],
      nextCursor: undefined,
    });
    expect(await files.list('acme', 'skills', { cursor: 'a/1' })).toMatchObject({ code: 'path_refused' });
    expect(await files.list('acme', 'none')).toMatchObject({ code: 'not_found' });
    expect(await files.list('nobody-yet', '')).toMatchObject({ ok: true, entries: [] });
  });

  test('a directory of 20 names is listed and one of 21 is refused, where 20 is the limit', async () => {
    using workspace = temporaryWorkspace({ strategy, directoryNamesMax: 20 });
    for (let n = 0; n < 20; n++) writeFileSync(`${workspace.acme}/${n}`, '');
    expect(await workspace.files.list('acme', '')).toMatchObject({ ok: true, entries: { length: 20 } });
    writeFileSync(`${workspace.acme}/20`, '');
    expect(await workspace.files.list('acme', '')).toMatchObject({ code: 'too_large' });
  });

  test('a part of a file is read from where it is asked for, never past the end, with the size of the whole', async () => {
    using workspace = temporaryWorkspace({ strategy, fileBytesMax: 10 });
    const { files } = workspace;
    await files.write('acme', 'tide', bytes('0123456789'));
    const part = (offset: number, bytesMax: number) => files.read('acme', 'tide', { range: { offset, bytesMax } });
    expect(await part(3, 4)).toMatchObject({ bytes: bytes('3456'), sizeBytes: 10 });
    expect(await part(8, 4)).toMatchObject({ bytes: bytes('89') });
    expect(await part(10, 4)).toMatchObject({ bytes: bytes(''), sizeBytes: 10 });
    expect(await part(99, 4)).toMatchObject({ bytes: bytes('') });
    expect(await files.read('acme', 'tide', { maxBytes: 4 })).toMatchObject({ code: 'too_large' });
    expect(await files.read('acme', 'tide', { maxBytes: 4, range: { offset: 6, bytesMax: 4 } })).toMatchObject({
      ok: true,
    });
  });

  test('a move takes a directory along, makes parents, and replaces a file only where that is asked for', async () => {
    using workspace = temporaryWorkspace({ strategy });
    const { files } = workspace;
    await files.write('acme', 'drafts/one.md', bytes('one'));
    await files.write('acme', 'two.md', bytes('two!'));
    expect(await files.move('acme', 'drafts', 'old/drafts')).toEqual({ ok: true });
    expect(await files.move('acme', 'two.md', 'old/drafts/one.md')).toMatchObject({ code: 'exists' });
    expect(await files.move('acme', 'two.md', 'old/drafts/one.md', { mayReplace: true })).toEqual({ ok: true });
    expect(await files.read('acme', 'old/drafts/one.md')).toMatchObject({ bytes: bytes('two!') });
    expect(await files.move('acme', 'old', 'old/drafts/again')).toMatchObject({ code: 'path_refused' });
    expect(await files.move('acme', 'none', 'x')).toMatchObject({ code: 'not_found' });
    expect(await files.usage('acme')).toEqual(await files.usage('acme', { recount: true }));
  });

  test('a removal of a directory needs to be asked for twice when it holds something, and frees what it held', async () => {
    using workspace = temporaryWorkspace({ strategy });
    const { files, acme, outside } = workspace;
    for (const path of ['tree/a', 'tree/b/c', 'tree/b/d/e']) await files.write('acme', path, bytes('12345'));
    symlinkSync(outside, `${acme}/tree/link`);
    await files.usage('acme', { recount: true });
    const before = workspace.snapshotElsewhere();
    expect(await files.remove('acme', 'tree')).toMatchObject({ code: 'not_empty' });
    expect(await files.remove('acme', 'tree', { recursive: true })).toMatchObject({ ok: true, files: 7 });
    expect(await files.usage('acme')).toEqual({ ok: true, bytes: 0, files: 0 });
    expect(await files.usage('acme', { recount: true })).toEqual({ ok: true, bytes: 0, files: 0 });
    expect(workspace.snapshotElsewhere()).toEqual(before);
  });

  test('many files are one change: if one path is refused, none is written', async () => {
    using workspace = temporaryWorkspace({ strategy });
    const { files } = workspace;
    const some = [
      { path: 'a', bytes: bytes('a') },
      { path: 'b/c', bytes: bytes('c'), executable: true },
    ];
    expect(await files.writeAll('acme', [...some, { path: '../x', bytes: bytes('x') }])).toMatchObject({
      code: 'path_refused',
    });
    expect(await files.writeAll('acme', [...some, { path: 'a', bytes: bytes('twice') }])).toMatchObject({
      code: 'exists',
    });
    expect(await files.writeAll('acme', [...some, { path: 'a/below', bytes: bytes('x') }])).toMatchObject({
      ok: false,
    });
    expect(await files.list('acme', '')).toMatchObject({ entries: [] });
    expect(await files.writeAll('acme', some, ['empty/directory'])).toEqual({ ok: true, bytes: 2, files: 5 });
    expect(await files.stat('acme', 'b/c')).toMatchObject({ executable: true });
    expect(await files.stat('acme', 'empty/directory')).toMatchObject({ kind: 'directory' });
  });

  test('a reader sees the old content or the new, never a mixture and never nothing', async () => {
    using workspace = temporaryWorkspace({ strategy });
    const { files } = workspace;
    const contents = ['a', 'b'].map((letter) => letter.repeat(100_000));
    await files.write('acme', 'page', bytes('a'.repeat(100_000)));
    let writing = true;
    const writer = (async () => {
      for (let n = 0; n < 60; n++) await files.write('acme', 'page', bytes(contents[n % 2] ?? ''));
      writing = false;
    })();
    let reads = 0;
    while (writing) {
      const seen = await files.read('acme', 'page');
      expect(seen.ok && contents.includes(seen.bytes.toString())).toBe(true);
      reads++;
    }
    await writer;
    expect(reads).toBeGreaterThan(10);
  });

  test('any row of changes leaves the files and the usage that a plain map would have', async () => {
    const path = fc.constantFrom('a', 'b', 'd/a', 'd/b', 'd/e/a');
    const step = fc.oneof(
      fc.record({ do: fc.constant('write' as const), path, size: fc.nat(50) }),
      fc.record({ do: fc.constant('remove' as const), path }),
      fc.record({ do: fc.constant('move' as const), path, to: path }),
    );
    let steps = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (row) => {
        using workspace = temporaryWorkspace({ strategy });
        const { files } = workspace;
        const model = new Map<string, number>();
        for (const change of row) {
          steps++;
          if (change.do === 'write') {
            expect((await files.write('acme', change.path, Buffer.alloc(change.size))).ok).toBe(true);
            model.set(change.path, change.size);
          } else if (change.do === 'remove') {
            expect((await files.remove('acme', change.path)).ok).toBe(model.delete(change.path));
          } else {
            const moved = await files.move('acme', change.path, change.to, { mayReplace: true });
            const size = model.get(change.path);
            expect(moved.ok).toBe(size !== undefined && change.path !== change.to);
            if (moved.ok && size !== undefined) {
              model.set(change.to, size);
              model.delete(change.path);
            }
          }
        }
        const found = new Map<string, number>();
        for await (const entry of files.walk('acme', ''))
          if (entry.ok && entry.kind === 'file') found.set(entry.path, entry.sizeBytes);
        expect(new Map([...found].sort())).toEqual(new Map([...model].sort()));
        expect(await files.usage('acme')).toEqual(await files.usage('acme', { recount: true }));
      }),
      { numRuns: 40 },
    );
    report(`workspace against a map, ${strategy}: ${steps} changes`);
  }, 60_000);
});

test('where openat2 is refused the walk takes its place, and where both are the service does not start', () => {
  const directory = mkdtempSync(join(tmpdir(), 'reef-workspace-'));
  try {
    const calls = loadSystemCalls();
    const refused = (code: string) => (): never => {
      throw systemError(code, 'refused');
    };
    const root = calls.openat(-100, directory, 0o200000, 0);
    for (const code of ['ENOSYS', 'EPERM'])
      expect(openerFor({ ...calls, openat2: refused(code) }, root).strategy).toBe('walk');
    expect(openerFor(calls, root).strategy).toBe('openat2');
    expect(() => openerFor({ ...calls, openat2: refused('ENOSYS'), openat: refused('EPERM') }, root)).toThrow(
      AggregateError,
    );
    expect(() => openerFor({ ...calls, openat2: refused('ENOSYS') }, root, 'openat2')).toThrow(AggregateError);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('a rename elsewhere that makes the kernel say "again" is tried again, but not for ever', () => {
  const calls = loadSystemCalls();
  const directory = mkdtempSync(join(tmpdir(), 'reef-workspace-'));
  try {
    const root = calls.openat(-100, directory, 0o200000, 0);
    let left = 0;
    const moody = {
      ...calls,
      openat2: (...args: Parameters<typeof calls.openat2>) => {
        if (left-- > 0) throw systemError('EAGAIN', 'openat2');
        return calls.openat2(...args);
      },
    };
    const { open } = openerFor(moody, root, 'openat2');
    left = 63;
    using opened = open(root, [], 0o200000);
    expect(opened.fd).toBeGreaterThan(0);
    left = 64;
    expect(() => open(root, [], 0o200000)).toThrow('EAGAIN');
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('a root that is a file is no workspace', () => {
  const directory = mkdtempSync(join(tmpdir(), 'reef-workspace-'));
  writeFileSync(join(directory, 'file'), '');
  expect(() => openWorkspaceFs(join(directory, 'file'))).toThrow();
  rmSync(directory, { recursive: true });
});

test.each(strategies)('a mount is not opened as a leaf either, with %s', (strategy) => {
  const calls = loadSystemCalls();
  const root = calls.openat(-100, '/', 0o200000, 0);
  const { open } = openerFor(calls, root, strategy);
  for (const flags of [0, O_PATH]) expect(() => open(root, ['proc'], flags)).toThrow('EXDEV');
});

test.each(strategies)(
  'a name that a sandbox takes at the last moment is not overwritten, with %s',
  async (strategy) => {
    using workspace = temporaryWorkspace();
    const { acme, root } = workspace;
    const ground = standOn(root, defaultLimits, strategy);
    const renameat2: typeof ground.calls.renameat2 = (...args) => {
      writeFileSync(`${acme}/${args[3]}`, 'the sandbox was faster');
      ground.calls.renameat2(...args);
    };
    const raced = { ...ground, calls: { ...ground.calls, renameat2 } };
    using staging = new Staging(raced);
    const change = {
      ground: raced,
      staging,
      ledger: new TenantLedger(defaultLimits, (tenant) => countUsage(raced, tenant)),
    };
    writeFileSync(`${acme}/source`, 'source');
    expect(await writeAll(change, 'acme', [{ path: 'new', bytes: bytes('new') }], [], false)).toMatchObject({
      code: 'exists',
    });
    expect(await move(change, 'acme', 'source', 'moved')).toMatchObject({ code: 'exists' });
    for (const name of ['new', 'moved']) expect(readFileSync(`${acme}/${name}`, 'utf8')).toBe('the sandbox was faster');
    expect(readdirSync(`${root}/.staging`)).toEqual([]);
    ground.close();
  },
);

test.each(strategies)('a file that another process keeps replacing is read each time, with %s', async (strategy) => {
  using workspace = temporaryWorkspace({ strategy });
  writeFileSync(`${workspace.acme}/page`, 'page');
  const replacer = `
    process.chdir(process.argv[1]);
    process.stdout.write('ready');
    for (const end = Date.now() + 700; Date.now() < end; ) { fs.writeFileSync('next', 'page'); fs.renameSync('next', 'page'); }
  `;
  const other = spawn(process.execPath, ['-e', replacer, workspace.acme], { stdio: ['ignore', 'pipe', 'inherit'] });
  let running = true;
  const exited = once(other, 'exit').then(() => (running = false));
  await once(other.stdout, 'data');
  while (running) {
    for (let n = 0; n < 50; n++)
      expect(await workspace.files.read('acme', 'page')).toMatchObject({ ok: true, bytes: bytes('page') });
    await new Promise((resolve) => setImmediate(resolve));
  }
  await exited;
});
