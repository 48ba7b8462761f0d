import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from '@jest/globals';
import { report, strategies, temporaryWorkspace } from './testing/temporary-workspace.js';

let writes = 0;
afterAll(() => report(`quota: ${writes} raced changes, 0 over the limit`));

const sizeOf = (directory: string): number =>
  readdirSync(directory).reduce((sum, name) => sum + statSync(`${directory}/${name}`).size, 0);

describe.each(strategies)('with %s', (strategy) => {
  test('of forty writers who each want a tenth at once, ten get it', async () => {
    using workspace = temporaryWorkspace({ strategy, bytesMax: 1_000 });
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, n) => workspace.files.write('acme', `f${n}`, Buffer.alloc(100))),
    );
    writes += answers.length;
    expect(answers.filter((answer) => answer.ok)).toHaveLength(10);
    expect(answers.filter((answer) => !answer.ok && answer.code === 'quota_exceeded')).toHaveLength(30);
    expect(sizeOf(workspace.acme)).toBe(1_000);
  });

  test('at one byte below the limit, one of many one-byte writers gets in', async () => {
    using workspace = temporaryWorkspace({ strategy, bytesMax: 1_000 });
    await workspace.files.write('acme', 'base', Buffer.alloc(999));
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) => workspace.files.write('acme', `f${n}`, Buffer.alloc(1))),
    );
    writes += answers.length;
    expect(answers.filter((answer) => answer.ok)).toHaveLength(1);
    expect(sizeOf(workspace.acme)).toBe(1_000);
  });

  test('of five files allowed the sixth is refused, and directories count', async () => {
    using workspace = temporaryWorkspace({ strategy, filesMax: 5 });
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, n) => workspace.files.write('acme', `d/f${n}`, Buffer.alloc(0))),
    );
    writes += answers.length;
    expect(answers.filter((answer) => answer.ok)).toHaveLength(4);
    expect(await workspace.files.usage('acme')).toEqual({ ok: true, bytes: 0, files: 5 });
    expect(await workspace.files.mkdir('acme', 'e')).toMatchObject({ code: 'quota_exceeded' });
    expect(await workspace.files.move('acme', 'd/f0', 'e/f0')).toMatchObject({ code: 'quota_exceeded' });
  });

  test('shrinking, replacing, removing, moving over and writing anew never buy room that is not there', async () => {
    using workspace = temporaryWorkspace({ strategy, bytesMax: 1_000 });
    const { files, acme } = workspace;
    await Promise.all(
      Array.from({ length: 120 }, async (_, n) => {
        const path = `f${n % 7}`;
        if (n % 5 === 3) await files.remove('acme', path);
        else if (n % 5 === 4) await files.move('acme', path, `f${(n + 1) % 7}`, { mayReplace: true });
        else await files.write('acme', path, Buffer.alloc((n * 37) % 400));
        writes++;
        expect(sizeOf(acme)).toBeLessThanOrEqual(1_000);
      }),
    );
    expect(await files.usage('acme')).toMatchObject({ bytes: sizeOf(acme) });
    expect(await files.usage('acme', { recount: true })).toMatchObject({ bytes: sizeOf(acme) });
  });

  test('a tenant over its quota may still shrink and remove, and its use is counted from disk at first', async () => {
    using workspace = temporaryWorkspace({ strategy, bytesMax: 1_000 });
    writeFileSync(`${workspace.acme}/large`, Buffer.alloc(1_500));
    const { files } = workspace;
    expect(await files.write('acme', 'new', Buffer.alloc(1))).toMatchObject({ code: 'quota_exceeded' });
    expect(await files.write('acme', 'large', Buffer.alloc(1_200))).toMatchObject({ ok: true, bytes: 1_200 });
    expect(await files.write('acme', 'large', Buffer.alloc(1_201))).toMatchObject({ code: 'quota_exceeded' });
    expect(await files.remove('acme', 'large')).toMatchObject({ ok: true, bytes: 1_200 });
    expect(await files.write('acme', 'new', Buffer.alloc(1_000))).toMatchObject({ ok: true });
  });

  test('what a sandbox wrote or removed counts after a recount', async () => {
    using workspace = temporaryWorkspace({ strategy });
    await workspace.files.write('acme', 'a', Buffer.alloc(10));
    writeFileSync(`${workspace.acme}/b`, Buffer.alloc(5));
    expect(await workspace.files.usage('acme')).toEqual({ ok: true, bytes: 10, files: 1 });
    expect(await workspace.files.usage('acme', { recount: true })).toEqual({ ok: true, bytes: 15, files: 2 });
    rmSync(`${workspace.acme}/a`);
    expect(await workspace.files.usage('acme', { recount: true })).toEqual({ ok: true, bytes: 5, files: 1 });
  });

  test('one tenant at its quota does not keep another from writing, nor does a long line of its writers', async () => {
    using workspace = temporaryWorkspace({ strategy, bytesMax: 100, waitingMax: 3 });
    const line = Array.from({ length: 10 }, (_, n) => workspace.files.write('acme', `f${n}`, Buffer.alloc(1)));
    expect(await workspace.files.write('beta', 'x', Buffer.alloc(100))).toMatchObject({ ok: true });
    const answers = await Promise.all(line);
    expect(answers.filter((answer) => answer.ok)).toHaveLength(4);
    expect(answers.filter((answer) => !answer.ok && answer.code === 'busy')).toHaveLength(6);
  });

  test('the books of a tenant that was forgotten are opened anew from the disk', async () => {
    using workspace = temporaryWorkspace({ strategy, tenantsRememberedMax: 2, bytesMax: 10 });
    for (const tenant of ['a', 'b', 'c', 'd']) await workspace.files.write(tenant, 'x', Buffer.alloc(10));
    for (const tenant of ['a', 'b', 'c', 'd'])
      expect(await workspace.files.write(tenant, 'y', Buffer.alloc(1))).toMatchObject({ code: 'quota_exceeded' });
  });
});
