import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type InputOf, PIECE_BYTES_MAX, workspace, workspaceChanged, dispatch, identity } from '@reef/contracts';
import { newId } from '@reef/messaging';
import { eventually, startService, type TestService } from '@reef/testing';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { type ArchiveSource, writeArchive } from '../src/archive/write-archive.js';
import { sha256Of } from '../src/disk.js';
import { FILE_BYTES_MAX } from '../src/limits.js';
import { definition, WorkspaceModule } from '../src/workspace.module.js';

const { commands, queries } = workspace;
const root = mkdtempSync(join(tmpdir(), 'reef-workspace-test-'));
let service: TestService;

beforeAll(async () => {
  service = await startService(definition, WorkspaceModule, { env: { WORKSPACE_ROOT: root } });
});
afterAll(async () => {
  await service?.[Symbol.asyncDispose]();
  rmSync(root, { recursive: true, force: true });
});

const base64 = (text: string | Buffer) => Buffer.from(text).toString('base64');
const write = (tenant: string, path: string, text: string | Buffer, commandId?: string) =>
  service.send(
    commands.writeFile,
    tenant,
    { path, content: { base64: base64(text) } },
    { ...(commandId && { commandId }) },
  );
const read = (tenant: string, path: string) =>
  service.send(queries.readFile, tenant, { path, offset: 0, bytesMax: PIECE_BYTES_MAX });
const textOf = async (tenant: string, path: string) => {
  const found = await read(tenant, path);
  return found.ok ? Buffer.from(found.value.pieceBase64, 'base64').toString() : found.code;
};
const list = (tenant: string, input: Partial<InputOf<typeof queries.listFiles>> = {}) =>
  service.send(queries.listFiles, tenant, { prefix: '', limit: 50, ...input });
const pathsOf = async (tenant: string, prefix = '') => {
  const found = await list(tenant, { prefix, limit: 200 });
  return found.ok ? found.value.items.map(({ path }) => path) : [found.code];
};
const usage = async (tenant: string) => {
  const found = await service.send(queries.usage, tenant, {});
  if (!found.ok) throw new Error(found.code);
  return found.value;
};
const context = async (tenant: string, agent = 'main', user: string | null = null) => {
  const found = await service.send(queries.promptContext, tenant, { agent, user });
  if (!found.ok) throw new Error(found.code);
  return found.value;
};
async function upload(tenant: string, content: Buffer): Promise<string> {
  const uploadId = newId();
  for (let offset = 0; offset < content.length; offset += PIECE_BYTES_MAX) {
    const piece = content.subarray(offset, offset + PIECE_BYTES_MAX);
    const sent = await service.send(commands.uploadPiece, tenant, { uploadId, offset, pieceBase64: base64(piece) });
    expect(sent).toEqual({ ok: true, value: { bytes: offset + piece.length } });
  }
  return uploadId;
}
async function download(tenant: string, uploadId: string): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (let offset = 0; ;) {
    const got = await service.send(queries.downloadPiece, tenant, { uploadId, offset });
    if (!got.ok) throw new Error(got.code);
    const piece = Buffer.from(got.value.pieceBase64, 'base64');
    if (piece.length === 0) return Buffer.concat(pieces);
    pieces.push(piece);
    offset += piece.length;
  }
}
async function tarOf(files: Record<string, string | Buffer>): Promise<Buffer> {
  const sources = Object.entries(files).map(([path, content]): ArchiveSource => ({
    kind: 'file',
    path,
    executable: path.endsWith('.sh'),
    content: Buffer.from(content),
  }));
  return buffer(writeArchive(sources));
}
const importing = (tenant: string, uploadId: string, commandId?: string, agent = 'main') =>
  service.send(
    commands.importWorkspace,
    tenant,
    { agent, uploadId },
    { timeoutMs: 30_000, ...(commandId && { commandId }) },
  );
const tool = (
  tenant: string,
  name: string,
  input: object | string,
  { agent = 'main', user = null as string | null, commandId = newId() } = {},
) =>
  service.send(
    commands.runTool,
    tenant,
    {
      agent,
      user,
      turnId: newId(),
      toolCallId: 'call-1',
      name,
      argumentsJson: typeof input === 'string' ? input : JSON.stringify(input),
    },
    { commandId },
  );
const answer = async (...call: Parameters<typeof tool>) => {
  const got = await tool(...call);
  if (!got.ok) throw new Error(got.code);
  return got.value;
};

describe('a new tenant', () => {
  test('begins with the files of its agent main, and opening it again changes nothing', async () => {
    const tenant = service.tenant();
    expect(await service.send(commands.openTenant, tenant, {})).toEqual({ ok: true, value: {} });
    await write(tenant, 'main/SOUL.md', 'mine');
    expect(await service.send(commands.openTenant, tenant, {})).toEqual({ ok: true, value: {} });
    expect(await pathsOf(tenant)).toEqual(['main/AGENTS.md', 'main/IDENTITY.md', 'main/SOUL.md', 'main/USER.md']);
    expect(await textOf(tenant, 'main/IDENTITY.md')).toContain('- **Name:** Reef\n');
    expect(await textOf(tenant, 'main/SOUL.md')).toBe('mine');
    expect((await service.eventsOf(tenant)).filter(({ type }) => type === 'WorkspaceOpened')).toHaveLength(1);
  });

  test('is opened by its creation, and an agent by its own', async () => {
    const tenant = service.tenant();
    await service.publish(identity.events.TenantCreated, tenant, {
      tenant,
      ownerUserId: newId(),
      createdAt: new Date().toISOString(),
    });
    await service.publish(dispatch.events.AgentCreated, tenant, {
      agent: 'helper',
      name: 'Little\nHelper',
      model: 'sim/echo',
      instructions: 'sealed',
      createdAt: new Date().toISOString(),
    });
    await eventually(async () => (await pathsOf(tenant)).length === 8);
    expect(await textOf(tenant, 'helper/IDENTITY.md')).toContain('- **Name:** Little Helper\n');
  });

  test('whose agent was written to before it was created keeps what was written', async () => {
    const tenant = service.tenant();
    expect(await write(tenant, 'helper/SOUL.md', 'early')).toMatchObject({ ok: true });
    await service.publish(dispatch.events.AgentCreated, tenant, {
      agent: 'helper',
      name: 'Helper',
      model: 'sim/echo',
      instructions: 'sealed',
      createdAt: new Date().toISOString(),
    });
    await eventually(async () => (await pathsOf(tenant, 'helper/')).length === 4);
    expect(await textOf(tenant, 'helper/SOUL.md')).toBe('early');
  });
});

describe('a file', () => {
  test('is written, read, replaced and deleted, and each is told on the bus before the answer', async () => {
    const tenant = service.tenant();
    let told = 0;
    service.nats.subscribe(workspaceChanged.subject(tenant), { callback: () => void told++ });
    await service.nats.flush();
    const written = await write(tenant, 'main/notes/today.md', 'low tide');
    expect(written).toMatchObject({
      ok: true,
      value: { path: 'main/notes/today.md', bytes: 8, sha256: sha256Of(Buffer.from('low tide')) },
    });
    expect(told).toBe(1);
    await write(tenant, 'main/notes/today.md', 'high tide');
    expect(await read(tenant, 'main/notes/today.md')).toMatchObject({
      ok: true,
      value: { bytes: 9, offset: 0, pieceBase64: base64('high tide'), sha256: sha256Of(Buffer.from('high tide')) },
    });
    expect(await usage(tenant)).toMatchObject({ bytes: 9, files: 1 });
    expect(await service.send(commands.deleteFile, tenant, { path: 'main/notes/today.md' })).toEqual({
      ok: true,
      value: {},
    });
    expect(told).toBe(3);
    expect(await read(tenant, 'main/notes/today.md')).toMatchObject({ code: 'file_not_found' });
    expect(await service.send(commands.deleteFile, tenant, { path: 'main/notes/today.md' })).toMatchObject({
      code: 'file_not_found',
    });
    expect(await usage(tenant)).toMatchObject({ bytes: 0, files: 0 });
    expect(readdirSync(join(root, tenant, 'main'))).toEqual([]);
  });

  test('written twice under one command id is written once, also when it was replaced in between', async () => {
    const tenant = service.tenant();
    const commandId = newId();
    const first = await write(tenant, 'main/a.md', 'one', commandId);
    await write(tenant, 'main/a.md', 'two');
    expect(await write(tenant, 'main/a.md', 'one', commandId)).toEqual(first);
    expect(await textOf(tenant, 'main/a.md')).toBe('two');
    expect((await service.eventsOf(tenant)).filter(({ type }) => type === 'FileWritten')).toHaveLength(2);
  });

  test('deleted twice under one command id is deleted once, and a later one of that name stays', async () => {
    const tenant = service.tenant();
    await write(tenant, 'main/a.md', 'one');
    const commandId = newId();
    const remove = () => service.send(commands.deleteFile, tenant, { path: 'main/a.md' }, { commandId });
    expect(await remove()).toEqual({ ok: true, value: {} });
    await write(tenant, 'main/a.md', 'two');
    expect(await remove()).toEqual({ ok: true, value: {} });
    expect(await textOf(tenant, 'main/a.md')).toBe('two');
  });

  test('of twenty megabytes is uploaded in pieces and read in pieces; one byte more is too large', async () => {
    const tenant = service.tenant();
    const content = Buffer.alloc(FILE_BYTES_MAX, 'reef ');
    const uploadId = await upload(tenant, content);
    expect(
      await service.send(commands.uploadPiece, tenant, { uploadId, offset: content.length, pieceBase64: base64('x') }),
    ).toMatchObject({ code: 'too_large' });
    const written = await service.send(commands.writeFile, tenant, { path: 'main/big.bin', content: { uploadId } });
    expect(written).toMatchObject({ ok: true, value: { bytes: FILE_BYTES_MAX, sha256: sha256Of(content) } });
    const end = await service.send(queries.readFile, tenant, {
      path: 'main/big.bin',
      offset: content.length - 3,
      bytesMax: 10,
    });
    expect(end).toMatchObject({
      ok: true,
      value: { bytes: FILE_BYTES_MAX, pieceBase64: base64(content.subarray(-3)) },
    });
    expect(
      await service.send(queries.readFile, tenant, { path: 'main/big.bin', offset: FILE_BYTES_MAX + 5, bytesMax: 10 }),
    ).toMatchObject({
      value: { pieceBase64: '' },
    });
  });

  test('of no bytes is a file too', async () => {
    const tenant = service.tenant();
    expect(await write(tenant, 'main/.keep', '')).toMatchObject({ ok: true, value: { bytes: 0 } });
    expect(await pathsOf(tenant)).toEqual(['main/.keep']);
  });

  test('cannot take the place of a folder, nor a folder that of a file; an empty folder is in nobody’s way', async () => {
    const tenant = service.tenant();
    await write(tenant, 'main/a/b.md', 'x');
    expect(await write(tenant, 'main/a', 'x')).toMatchObject({ code: 'not_a_file' });
    expect(await write(tenant, 'main/a/b.md/c', 'x')).toMatchObject({ code: 'not_a_file' });
    expect(await read(tenant, 'main/a')).toMatchObject({ code: 'not_a_file' });
    await service.send(commands.deleteFile, tenant, { path: 'main/a/b.md' });
    mkdirSync(join(root, tenant, 'main/a'));
    expect(await write(tenant, 'main/a', 'x')).toMatchObject({ ok: true });
  });

  test('written by twenty at once ends as one of them, with the log and the disk agreeing', async () => {
    const tenant = service.tenant();
    await Promise.all(Array.from({ length: 20 }, (_, n) => write(tenant, 'main/a.md', `writer ${n}`)));
    const found = await read(tenant, 'main/a.md');
    expect(found.ok && found.value.sha256).toBe(sha256Of(Buffer.from(await textOf(tenant, 'main/a.md'))));
    expect(await usage(tenant)).toMatchObject({ files: 1 });
  });
});

describe('a list', () => {
  test('comes in pages, in the order of paths, of what begins with a prefix', async () => {
    const tenant = service.tenant();
    for (const name of ['b.md', 'a.md', 'notes/2.md', 'notes/1.md', 'notes%.md', 'notes_x.md'])
      await write(tenant, `main/${name}`, name);
    await write(tenant, 'other/notes/3.md', 'x');
    const first = await list(tenant, { prefix: 'main/', limit: 4 });
    const cursor = first.ok ? first.value.nextCursor : null;
    const second = await list(tenant, { prefix: 'main/', limit: 4, ...(cursor !== null && { cursor }) });
    expect([first, second].flatMap((page) => (page.ok ? page.value.items.map(({ path }) => path) : []))).toEqual([
      'main/a.md',
      'main/b.md',
      'main/notes%.md',
      'main/notes/1.md',
      'main/notes/2.md',
      'main/notes_x.md',
    ]);
    expect(second).toMatchObject({ value: { nextCursor: null } });
    expect(await pathsOf(tenant, 'main/notes/')).toEqual(['main/notes/1.md', 'main/notes/2.md']);
    expect(await list(tenant, { cursor: 'nonsense' })).toMatchObject({ code: 'invalid_input' });
    expect(await list(tenant, { prefix: 'main/../' })).toMatchObject({ code: 'path_refused' });
  });
});

describe('a path that leads astray', () => {
  const attacks = [
    '../x',
    'main/../../x',
    'main/../other/x',
    '/etc/passwd',
    '//etc/passwd',
    'main//x',
    'main/./x',
    './main/x',
    'main/x/',
    'main/x/.',
    'main/x/..',
    'main\\..\\x',
    'C:\\x',
    '\\\\host\\share',
    'main/a\0b',
    'main/a\nb',
    'main/a\r',
    'main/\u202Ex',
    'main/a\u200Bb',
    'main/\uFF0E\uFF0E/x',
    'main/a\uFF0Fb',
    'main/cafe\u0301',
    'main/x ',
    'main/x.',
    'main/ x',
    'file:///etc/passwd',
    '%2e%2e/x',
    '~root/x',
    '-rf/x',
    '.reef/staging/x',
    '.reef/uploads/x',
    `main/${'a'.repeat(256)}`,
    `main/${'a/'.repeat(200)}a`,
    `main/${'ab/'.repeat(500)}x`,
    'MAIN/x',
    'proc/self/root/../../x',
    '\ud800/x',
    '.',
  ];
  test.each(attacks)('%j is refused whatever is asked of it', async (path) => {
    const tenant = service.tenant();
    const refused = { ok: false, code: 'path_refused' };
    expect(await write(tenant, path, 'x')).toMatchObject(refused);
    expect(await read(tenant, path)).toMatchObject(refused);
    expect(await service.send(commands.deleteFile, tenant, { path })).toMatchObject(refused);
    expect(await service.eventsOf(tenant)).toEqual([]);
  });

  test('through a link that something put there is refused, and what it points to stays as it is', async () => {
    const tenant = service.tenant();
    await service.send(commands.openTenant, tenant, {});
    const outside = mkdtempSync(join(tmpdir(), 'reef-outside-'));
    writeFileSync(join(outside, 'secret'), 'secret');
    symlinkSync(outside, join(root, tenant, 'main/folder'));
    symlinkSync(join(outside, 'secret'), join(root, tenant, 'main/leaf'));
    for (const path of ['main/folder/secret', 'main/leaf']) {
      expect(await read(tenant, path)).toMatchObject({ code: 'path_refused' });
      expect(await write(tenant, path, 'x')).toMatchObject({ code: 'path_refused' });
      expect(await service.send(commands.deleteFile, tenant, { path })).toMatchObject({ code: 'path_refused' });
    }
    expect(await answer(tenant, 'read_file', { path: 'leaf' })).toMatchObject({ isError: true });
    expect(await answer(tenant, 'write_file', { path: 'folder/secret', content: 'x' })).toMatchObject({
      isError: true,
    });
    expect(readdirSync(outside)).toEqual(['secret']);
    rmSync(outside, { recursive: true });
  });
});

describe('a tenant', () => {
  test('sees nothing of another: not its files, nor its uploads, nor its usage', async () => {
    const [acme, globex] = [service.tenant(), service.tenant()];
    await write(acme, 'main/plan.md', 'secret');
    const uploadId = await upload(acme, Buffer.from('secret'));
    expect(await read(globex, 'main/plan.md')).toMatchObject({ code: 'agent_unknown' });
    expect(await service.send(commands.deleteFile, globex, { path: 'main/plan.md' })).toMatchObject({
      code: 'agent_unknown',
    });
    expect(await pathsOf(globex)).toEqual([]);
    expect(await usage(globex)).toMatchObject({ bytes: 0, files: 0 });
    expect(await context(globex)).toEqual({ files: [], skills: [], isNew: false });
    expect(await service.send(queries.downloadPiece, globex, { uploadId, offset: 0 })).toMatchObject({
      code: 'upload_unknown',
    });
    expect(await service.send(commands.writeFile, globex, { path: 'main/x', content: { uploadId } })).toMatchObject({
      code: 'upload_unknown',
    });
    expect(await importing(globex, uploadId)).toMatchObject({ code: 'upload_unknown' });
    expect(await service.send(commands.exportWorkspace, globex, { agent: 'main' })).toMatchObject({
      code: 'agent_unknown',
    });
    expect(await textOf(acme, 'main/plan.md')).toBe('secret');
  });

  test('may fill its quota to the last byte and not beyond, over all its agents', async () => {
    const tenant = service.tenant();
    const { bytesMax } = await usage(tenant);
    for (let n = 0; n < bytesMax / FILE_BYTES_MAX - 1; n++) {
      const uploadId = await upload(tenant, Buffer.alloc(FILE_BYTES_MAX, n));
      expect(
        await service.send(commands.writeFile, tenant, { path: `agent-${n}/big`, content: { uploadId } }),
      ).toMatchObject({ ok: true });
    }
    const almost = await upload(tenant, Buffer.alloc(FILE_BYTES_MAX - 4));
    expect(
      await service.send(commands.writeFile, tenant, { path: 'main/last', content: { uploadId: almost } }),
    ).toMatchObject({ ok: true });
    expect(await write(tenant, 'main/a', '12345')).toMatchObject({ code: 'quota_exceeded', details: { bytesLeft: 4 } });
    expect(await answer(tenant, 'write_file', { path: 'a', content: '12345' })).toMatchObject({ isError: true });
    expect(await importing(tenant, await upload(tenant, await tarOf({ a: '12', b: '345' })))).toMatchObject({
      code: 'quota_exceeded',
    });
    expect(await write(tenant, 'main/a', '1234')).toMatchObject({ ok: true });
    expect((await usage(tenant)).bytes).toBe(bytesMax);
    // A full tenant still can replace, shrink and delete.
    expect(await write(tenant, 'main/a', '4321')).toMatchObject({ ok: true });
    expect(await service.send(commands.deleteFile, tenant, { path: 'agent-0/big' })).toMatchObject({ ok: true });
  }, 120_000);
});

describe('an upload', () => {
  test('takes pieces in order, the same piece twice, and no other twice', async () => {
    const tenant = service.tenant();
    const uploadId = newId();
    const send = (offset: number, text: string) =>
      service.send(commands.uploadPiece, tenant, { uploadId, offset, pieceBase64: base64(text) });
    expect(await send(0, 'abc')).toEqual({ ok: true, value: { bytes: 3 } });
    expect(await send(0, 'abc')).toEqual({ ok: true, value: { bytes: 3 } });
    expect(await send(0, 'xyz')).toMatchObject({ code: 'piece_out_of_order', details: { bytes: 3 } });
    expect(await send(4, 'd')).toMatchObject({ code: 'piece_out_of_order' });
    expect(await send(3, 'def')).toEqual({ ok: true, value: { bytes: 6 } });
    expect((await download(tenant, uploadId)).toString()).toBe('abcdef');
  });

  test('is one of four at most; using one makes room', async () => {
    const tenant = service.tenant();
    const ids = [
      await upload(tenant, Buffer.from('1')),
      await upload(tenant, Buffer.from('2')),
      await upload(tenant, Buffer.from('3')),
      await upload(tenant, Buffer.from('4')),
    ];
    const fifth = () =>
      service.send(commands.uploadPiece, tenant, { uploadId: newId(), offset: 0, pieceBase64: base64('5') });
    expect(await fifth()).toMatchObject({ code: 'too_many_uploads' });
    await service.send(commands.writeFile, tenant, { path: 'main/a', content: { uploadId: ids[0]! } });
    expect(await fifth()).toMatchObject({ ok: true });
  });

  test('used by a command that comes twice is there the second time', async () => {
    const tenant = service.tenant();
    const uploadId = await upload(tenant, await tarOf({ 'a.md': 'a' }));
    const commandId = newId();
    const first = await importing(tenant, uploadId, commandId);
    expect(first).toEqual({ ok: true, value: { files: 1, bytes: 1 } });
    await write(tenant, 'main/a.md', 'changed since');
    expect(await importing(tenant, uploadId, commandId)).toEqual(first);
    expect(await textOf(tenant, 'main/a.md')).toBe('changed since');
  });
});

describe('a workspace', () => {
  const files = {
    'AGENTS.md': '---\nsummary: "x"\n---\r\n# Agents\r\n',
    'SOUL.md': '\ufeffsoul without a last line',
    'IDENTITY.md': '- **Name:** Coral\n',
    'memory/2026-11-22.md': 'low tide',
    'skills/tide/SKILL.md': '---\nname: tide\ndescription: Reads tides.\n---\n',
    'skills/tide/run.sh': '#!/bin/sh\n',
    'avatars/é-珊瑚.png': Buffer.from([0x89, 0x50, 0, 255, 254]),
    empty: '',
  };

  test('is brought in and taken out again byte for byte, executable marks included', async () => {
    const tenant = service.tenant();
    await service.send(commands.openTenant, tenant, {});
    const archive = await tarOf(files);
    expect(await importing(tenant, await upload(tenant, archive))).toMatchObject({ ok: true, value: { files: 8 } });
    await service.send(commands.deleteFile, tenant, { path: 'main/USER.md' }); // The only file that the import did not bring.
    const exported = await service.send(commands.exportWorkspace, tenant, { agent: 'main' });
    if (!exported.ok) throw new Error(exported.code);
    const taken = await download(tenant, exported.value.uploadId);
    expect(taken.length).toBe(exported.value.bytes);
    expect(taken.equals(archive)).toBe(true);
    expect(await context(tenant)).toMatchObject({
      skills: [{ name: 'tide', description: 'Reads tides.', location: 'skills/tide/SKILL.md' }],
    });
  });

  test('packed in one folder of its own lands without it; its files replace those of their name and leave the others', async () => {
    const tenant = service.tenant();
    await service.send(commands.openTenant, tenant, {});
    await write(tenant, 'main/notes.md', 'stays');
    const packed = Object.fromEntries(Object.entries(files).map(([path, content]) => [`workspace/${path}`, content]));
    expect(await importing(tenant, await upload(tenant, await tarOf(packed)))).toMatchObject({ ok: true });
    expect(await textOf(tenant, 'main/IDENTITY.md')).toBe('- **Name:** Coral\n');
    expect(await textOf(tenant, 'main/notes.md')).toBe('stays');
    expect(await pathsOf(tenant, 'main/workspace')).toEqual([]);
  });

  test('with one bad entry is refused whole, and the entry is named by its number', async () => {
    const tenant = service.tenant();
    const uploadId = await upload(tenant, await tarOf({ 'a.md': 'a', 'b/../../c.md': 'c' }));
    expect(await importing(tenant, uploadId)).toMatchObject({
      code: 'archive_refused',
      details: { reason: 'path_refused', entryNumber: 2 },
    });
    expect(await importing(tenant, await upload(tenant, Buffer.from('not an archive')))).toMatchObject({
      code: 'archive_refused',
    });
    expect(await service.eventsOf(tenant)).toEqual([]);
  });

  test('that would turn a folder into a file is refused whole', async () => {
    const tenant = service.tenant();
    await write(tenant, 'main/a/b.md', 'x');
    expect(await importing(tenant, await upload(tenant, await tarOf({ 'z.md': 'z', a: 'a' })))).toMatchObject({
      code: 'archive_refused',
      details: { reason: 'not_a_file' },
    });
    expect(await pathsOf(tenant)).toEqual(['main/a/b.md']);
  });

  test('exported twice under one command id is one archive', async () => {
    const tenant = service.tenant();
    await write(tenant, 'main/a.md', 'a');
    const commandId = newId();
    const exporting = () => service.send(commands.exportWorkspace, tenant, { agent: 'main' }, { commandId });
    expect(await exporting()).toEqual(await exporting());
    expect(await service.send(commands.exportWorkspace, tenant, { agent: 'nobody' })).toMatchObject({
      code: 'agent_unknown',
    });
  });
});

describe("an agent's prompt", () => {
  test('has the files that are there, cut between two characters, with their true sizes', async () => {
    const tenant = service.tenant();
    await service.send(commands.openTenant, tenant, {});
    await write(tenant, 'main/MEMORY.md', '🪸'.repeat(15_000));
    await write(tenant, 'main/HEARTBEAT.md', 'not for the prompt');
    const { files, isNew } = await context(tenant);
    expect(files.map(({ path }) => path).toSorted()).toEqual([
      'AGENTS.md',
      'IDENTITY.md',
      'MEMORY.md',
      'SOUL.md',
      'USER.md',
    ]);
    expect(files.find(({ path }) => path === 'MEMORY.md')).toEqual({
      path: 'MEMORY.md',
      text: '🪸'.repeat(10_000),
      bytes: 60_000,
    });
    expect(isNew).toBe(false);
  });

  test('follows every change at once, although it is kept in memory', async () => {
    const tenant = service.tenant();
    await service.send(commands.openTenant, tenant, {});
    const soul = async () => (await context(tenant)).files.find(({ path }) => path === 'SOUL.md')?.text;
    for (const text of ['one', 'two', 'three']) {
      await write(tenant, 'main/SOUL.md', text);
      expect(await soul()).toBe(text);
    }
    await write(tenant, 'main/BOOTSTRAP.md', 'hello');
    expect((await context(tenant)).isNew).toBe(true);
    await service.send(commands.deleteFile, tenant, { path: 'main/BOOTSTRAP.md' });
    expect((await context(tenant)).isNew).toBe(false);
    await service.send(commands.deleteFile, tenant, { path: 'main/SOUL.md' });
    expect(await soul()).toBeUndefined();
  });

  test('has the overlay of the person it is for and of nobody else', async () => {
    const tenant = service.tenant();
    await write(tenant, 'main/users/ada/USER.md', 'likes brevity');
    const paths = async (user: string | null) => (await context(tenant, 'main', user)).files.map(({ path }) => path);
    expect(await paths('ada')).toEqual(['users/ada/USER.md']);
    expect(await paths('bob')).toEqual([]);
    expect(await paths('../ada')).toEqual([]);
    expect(await paths(null)).toEqual([]);
    await write(tenant, 'main/users/ada/USER.md', 'likes detail');
    expect((await context(tenant, 'main', 'ada')).files[0]?.text).toBe('likes detail');
  });

  test('leaves broken skills out', async () => {
    const tenant = service.tenant();
    await write(tenant, 'main/skills/good/SKILL.md', '---\nname: good\ndescription: Does good.\n---\n');
    await write(tenant, 'main/skills/bad/SKILL.md', '---\nname: other\ndescription: d\n---\n');
    await write(tenant, 'main/skills/deep/er/SKILL.md', '---\nname: er\ndescription: d\n---\n');
    expect(await service.send(queries.skills, tenant, { agent: 'main' })).toEqual({
      ok: true,
      value: { items: [{ name: 'good', description: 'Does good.', location: 'skills/good/SKILL.md' }] },
    });
  });
});

describe("an agent's file tools", () => {
  test('write, list and read, and every call is in the log', async () => {
    const tenant = service.tenant();
    expect(await answer(tenant, 'write_file', { path: 'notes/today.md', content: 'low tide' })).toEqual({
      content: 'Written, 8 bytes.',
      isError: false,
    });
    expect(await answer(tenant, 'list_files', {})).toEqual({ content: 'notes/today.md (8 bytes)', isError: false });
    expect(await answer(tenant, 'read_file', { path: 'notes/today.md' })).toEqual({
      content: 'low tide',
      isError: false,
    });
    const events = await service.eventsOf(tenant);
    expect(events.map(({ type }) => type)).toEqual(['FileWritten', 'ToolRun', 'ToolRun', 'ToolRun']);
    expect(events[0]?.data).toMatchObject({ by: 'agent' });
  });

  test('answer a fault to the model instead of refusing', async () => {
    const tenant = service.tenant();
    await write(tenant, 'main/picture.png', Buffer.from([0x89, 0x50, 0, 1]));
    for (const [name, input] of [
      ['read_file', { path: 'nowhere.md' }],
      ['read_file', { path: '../other/SOUL.md' }],
      ['read_file', { path: '/etc/passwd' }],
      ['read_file', { path: 'picture.png' }],
      ['write_file', { path: '../other/SOUL.md', content: 'x' }],
      ['write_file', { path: 'picture.png/x', content: 'x' }],
      ['list_files', { prefix: '../' }],
      ['read_file', '{"path":'],
      ['write_file', { path: 'x' }],
    ] as const)
      expect({ name, input, ...(await answer(tenant, name, input)) }).toMatchObject({ isError: true });
    expect(
      (await service.eventsOf(tenant)).filter(({ type, data }) => type === 'ToolRun' && data['failed'] === true),
    ).toHaveLength(9);
    expect(await tool(tenant, 'run_shell', {})).toMatchObject({ ok: false, code: 'tool_unknown' });
  });

  test('reach the own folder of the agent only', async () => {
    const tenant = service.tenant();
    await write(tenant, 'other/plan.md', 'secret');
    await write(tenant, 'main-2/plan.md', 'secret');
    expect(await answer(tenant, 'list_files', {})).toEqual({ content: 'There are no files here.', isError: false });
    expect(await answer(tenant, 'read_file', { path: 'other/plan.md' })).toMatchObject({ isError: true });
  });

  test('reach under users/ the person of the turn only', async () => {
    const tenant = service.tenant();
    await write(tenant, 'main/users/ada/USER.md', 'private');
    await write(tenant, 'main/notes.md', 'x');
    const list = async (user: string | null) => (await answer(tenant, 'list_files', {}, { user })).content;
    expect(await list('ada')).toContain('users/ada/USER.md');
    expect(await list('bob')).toBe('notes.md (1 bytes)');
    for (const user of ['bob', null]) {
      expect(await answer(tenant, 'read_file', { path: 'users/ada/USER.md' }, { user })).toMatchObject({
        isError: true,
      });
      expect(await answer(tenant, 'write_file', { path: 'users/ada/USER.md', content: 'x' }, { user })).toMatchObject({
        isError: true,
      });
    }
    expect(await answer(tenant, 'read_file', { path: 'users/ada/USER.md' }, { user: 'ada' })).toEqual({
      content: 'private',
      isError: false,
    });
  });

  test('called twice under one command id run once', async () => {
    const tenant = service.tenant();
    const commandId = newId();
    const input = {
      agent: 'main',
      user: null,
      turnId: newId(),
      toolCallId: 'call-1',
      name: 'write_file',
      argumentsJson: JSON.stringify({ path: 'a.md', content: 'one' }),
    };
    const first = await service.send(commands.runTool, tenant, input, { commandId });
    await write(tenant, 'main/a.md', 'two');
    expect(await service.send(commands.runTool, tenant, input, { commandId })).toEqual(first);
    expect(await textOf(tenant, 'main/a.md')).toBe('two');
    expect((await service.eventsOf(tenant)).filter(({ type }) => type === 'ToolRun')).toHaveLength(1);
  });
});

test('the service starts again on the same log and disk, and knows everything it knew', async () => {
  const tenant = service.tenant();
  await write(tenant, 'main/a.md', 'a');
  const uploadId = await upload(tenant, Buffer.alloc(PIECE_BYTES_MAX + 1, 'x'));
  await service.restart();
  expect(await textOf(tenant, 'main/a.md')).toBe('a');
  expect(
    await service.send(commands.uploadPiece, tenant, {
      uploadId,
      offset: PIECE_BYTES_MAX + 1,
      pieceBase64: base64('y'),
    }),
  ).toEqual({ ok: true, value: { bytes: PIECE_BYTES_MAX + 2 } });
  expect(await download(tenant, uploadId)).toHaveLength(PIECE_BYTES_MAX + 2);
});

test('the read models follow from the events, to the last row', async () => {
  expect(await service.replayCheck()).toEqual([]);
});
