import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { symlinkSync, writeFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { disk, temporaryWorkspace } from '../workspace-fs/testing/temporary-workspace.js';
import type { WorkspaceFs } from '../workspace-fs/workspace-fs.js';
import { readArchive } from './read-archive.js';
import { exportArchive, importArchive } from './workspace-archive.js';
import { writeArchive, type ArchiveSource } from './write-archive.js';

async function exported(files: WorkspaceFs, tenant: string): Promise<Buffer> {
  const answer = await exportArchive(files, tenant);
  if (!answer.ok) throw new Error(answer.reason);
  return buffer(answer.archive);
}

async function contents(files: WorkspaceFs, tenant: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const entry of files.walk(tenant, '')) {
    if (!entry.ok) throw new Error(entry.reason);
    const read = entry.kind === 'file' ? await files.read(tenant, entry.path) : undefined;
    found[entry.path] = read?.ok ? `${read.executable ? 'x ' : ''}${read.bytes.toString('base64')}` : entry.kind;
  }
  return found;
}

test('an OpenClaw workspace that is brought in and taken away again is the same, byte for byte', async () => {
  using workspace = temporaryWorkspace({}, disk);
  const { files } = workspace;
  const binary = Buffer.from(Array.from({ length: 70_000 }, (_, n) => (n * 31) % 256));
  const long = `${'deep/'.repeat(30)}${'n'.repeat(120)}.md`;
  await files.writeAll(
    'acme',
    [
      { path: 'AGENTS.md', bytes: Buffer.from('# Agents\r\n') },
      { path: '.learnings/anna/LEARNINGS.md', bytes: Buffer.from('learned') },
      { path: 'skills/weather/SKILL.md', bytes: Buffer.from('---\nname: weather\n---\n') },
      { path: 'skills/weather/run.sh', bytes: Buffer.from('#!/bin/sh\n'), executable: true },
      { path: 'memory/2026-11-22 notes.md', bytes: Buffer.from('') },
      { path: '日本語/❤️.md', bytes: binary },
      { path: long, bytes: Buffer.from('long') },
    ],
    ['empty'],
  );
  const archive = await exported(files, 'acme');
  expect(await importArchive(files, 'beta', archive)).toMatchObject({ ok: true });
  expect(await contents(files, 'beta')).toEqual(await contents(files, 'acme'));
  expect(await exported(files, 'beta')).toEqual(archive);
  expect(
    await importArchive(files, 'gamma', Readable.from([archive.subarray(0, 7), archive.subarray(7)])),
  ).toMatchObject({ ok: true });
  expect(await exported(files, 'gamma')).toEqual(archive);
});

test('the same entries in any order give the same archive, and it reads back as they were', async () => {
  const name = fc.constantFrom('a', 'b', 'c', '.env', 'x y', 'é', '日本', 'n'.repeat(120));
  const file = fc.record({
    path: fc.array(name, { minLength: 1, maxLength: 4 }),
    bytes: fc.uint8Array({ maxLength: 600 }),
    executable: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(file, { maxLength: 8 }), async (made) => {
      const entries = made.map(({ path, bytes, executable }, n): ArchiveSource => ({
        kind: 'file',
        path: [...path, `${n}`].join('/'),
        content: bytes,
        executable,
      }));
      const archive = await buffer(writeArchive(entries));
      expect(await buffer(writeArchive(entries.toReversed()))).toEqual(archive);
      const read = await readArchive(archive);
      expect(
        read.ok && new Map(read.entries.map((entry) => [entry.path, entry.kind === 'file' && [...entry.bytes]])),
      ).toEqual(
        new Map(entries.map((entry) => [entry.path, entry.kind === 'file' && [...(entry.content as Uint8Array)]])),
      );
    }),
    { numRuns: 60 },
  );
});

test('an import that the quota does not allow writes nothing', async () => {
  using workspace = temporaryWorkspace({ bytesMax: 10 });
  const archive = await buffer(
    writeArchive(
      ['a', 'b', 'c'].map((path) => ({ kind: 'file', path, content: Buffer.from('1234'), executable: false })),
    ),
  );
  expect(await importArchive(workspace.files, 'acme', archive)).toMatchObject({ ok: false, code: 'quota_exceeded' });
  expect(await workspace.files.list('acme', '')).toMatchObject({ entries: [] });
});

test('an export leaves out links and says how many', async () => {
  using workspace = temporaryWorkspace();
  await workspace.files.write('acme', 'a', Buffer.from('a'));
  symlinkSync(`${workspace.outside}/secret`, `${workspace.acme}/link`);
  const answer = await exportArchive(workspace.files, 'acme');
  expect(answer).toMatchObject({ ok: true, exported: 1, leftOut: 1 });
  const read = answer.ok && (await readArchive(await buffer(answer.archive)));
  expect(read).toMatchObject({ entries: [{ path: 'a' }] });
});

test('an export whose file is gone when its turn comes is an error, not a smaller archive', async () => {
  using workspace = temporaryWorkspace();
  await workspace.files.write('acme', 'a', Buffer.from('a'));
  const answer = await exportArchive(workspace.files, 'acme');
  await workspace.files.remove('acme', 'a');
  // Opening is left to the reader, so nothing was read yet.
  if (!answer.ok) throw new Error(answer.reason);
  await expect(buffer(answer.archive)).rejects.toThrow('changed while it was being exported');
});

test('an import takes the accents of macOS, spelled apart, as the names they are', async () => {
  using workspace = temporaryWorkspace();
  const archive = await buffer(
    writeArchive([{ kind: 'file', path: 'cafe\u0301.md', content: Buffer.from('x'), executable: false }]),
  );
  expect(await importArchive(workspace.files, 'acme', archive)).toMatchObject({ ok: true });
  expect(await workspace.files.read('acme', 'caf\u00e9.md')).toMatchObject({ ok: true });
});

test('an export replaces what stood there on import, and leaves the rest', async () => {
  using workspace = temporaryWorkspace();
  writeFileSync(`${workspace.acme}/kept`, 'kept');
  writeFileSync(`${workspace.acme}/a`, 'old');
  const archive = await buffer(
    writeArchive([{ kind: 'file', path: 'a', content: Buffer.from('new'), executable: false }]),
  );
  await importArchive(workspace.files, 'acme', archive);
  expect(await contents(workspace.files, 'acme')).toEqual({
    a: Buffer.from('new').toString('base64'),
    kept: Buffer.from('kept').toString('base64'),
  });
});

test('a reader who leaves an export halfway leaves no stream of the tenant open', async () => {
  using workspace = temporaryWorkspace({ streamsMax: 1, fileBytesMax: 4_000_000 });
  await workspace.files.write('acme', 'large', randomBytes(4_000_000));
  const answer = await exportArchive(workspace.files, 'acme');
  if (!answer.ok) throw new Error(answer.reason);
  await once(answer.archive, 'readable');
  expect(await workspace.files.readStream('acme', 'large')).toMatchObject({ code: 'busy' });
  answer.archive.destroy();
  await once(answer.archive, 'close');
  await new Promise((resolve) => setTimeout(resolve, 50));
  const again = await workspace.files.readStream('acme', 'large');
  expect(again.ok && (await buffer(again.stream)).length).toBe(4_000_000);
});
