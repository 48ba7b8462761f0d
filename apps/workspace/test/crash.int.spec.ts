import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { TenantContext } from '@reef/contracts';
import { EventStore } from '@reef/eventing';
import { createLogger, DATABASE, NATS, serviceContext } from '@reef/service';
import { startService, type TestService } from '@reef/testing';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Pool } from 'pg';
import { Disk, HIDDEN_FOLDER, sha256Of } from '../src/disk.js';
import { type Change, Folders } from '../src/folders.js';
import { openFolder } from '../src/open-folder.js';
import { Ownership } from '../src/ownership.js';
import { hashesOf } from '../src/projections/files.js';
import { Uploads } from '../src/uploads.js';
import { definition, WorkspaceModule } from '../src/workspace.module.js';
import { openWorkspaceFs, type WorkspaceFs } from '../src/workspace-fs/workspace-fs.js';

const serviceRoot = mkdtempSync(join(tmpdir(), 'reef-workspace-test-'));
const root = mkdtempSync(join(tmpdir(), 'reef-crash-test-'));
let service: TestService;

beforeAll(async () => {
  service = await startService(definition, WorkspaceModule, { env: { WORKSPACE_ROOT: serviceRoot } });
});
afterAll(async () => {
  await service?.[Symbol.asyncDispose]();
  for (const folder of [root, serviceRoot]) rmSync(folder, { recursive: true, force: true });
});

/** Dies at its nth step, before the step takes effect or after, and does nothing ever again: not even tidy up. */
class Killer {
  #left: number;
  isDead = false;
  constructor(
    steps: number,
    readonly when: 'before' | 'after',
  ) {
    this.#left = steps;
  }

  watch<T extends object>(target: T, methods: readonly (keyof T)[]): T {
    return new Proxy(target, {
      get: (object, name) => {
        const value: unknown = Reflect.get(object, name);
        if (typeof value !== 'function') return value;
        const call = (...parameters: unknown[]): unknown => Reflect.apply(value, object, parameters);
        if (!methods.includes(name as keyof T)) return call;
        return async (...parameters: unknown[]) => {
          if (this.isDead) throw new Error('dead');
          const isLast = this.#left-- === 0;
          if (isLast && this.when === 'before') this.#die();
          const result = await call(...parameters);
          if (isLast) this.#die();
          return result;
        };
      },
    });
  }

  #die(): never {
    this.isDead = true;
    throw new Error('killed');
  }
}

/** An instance of the service's heart of its own, on the same folder and database as all the others. */
function instance(killer?: Killer) {
  let fs: WorkspaceFs = openWorkspaceFs(root);
  let store = service.app.get(EventStore);
  if (killer) {
    fs = killer.watch(fs, ['mkdir', 'write', 'writeAll', 'move', 'remove', 'stat', 'list']);
    store = killer.watch(store, ['execute', 'load']);
  }
  const disk = new Disk(fs);
  const folders = new Folders({
    database: service.app.get<Pool>(DATABASE),
    store,
    disk,
    uploads: new Uploads(fs),
    nats: service.app.get(NATS),
    ownership: { isHeld: true },
  });
  return { fs, folders };
}

type Step = (folders: Folders, context: TenantContext) => Promise<{ ok: boolean }>;

const fileOf = (path: string, text: string) => {
  const content = Buffer.from(text);
  return { path, content, sha256: sha256Of(content) };
};
const named = ({ path, content, sha256 }: ReturnType<typeof fileOf>) => ({ path, bytes: content.length, sha256 });
const write =
  (path: string, text: string): Step =>
  (folders, context) =>
    folders.change(context, 'main', (room, at): Change<null> => {
      const file = fileOf(path, text);
      return {
        command: { type: 'write', data: { file: named(file), by: 'person', room, at } },
        files: [file],
        reply: () => null,
      };
    });
const remove =
  (path: string): Step =>
  (folders, context) =>
    folders.change(context, 'main', (_room, at): Change<null> => ({
      command: { type: 'delete', data: { path, at } },
      files: [],
      deleted: path,
      reply: () => null,
    }));
const importing =
  (texts: Record<string, string>): Step =>
  (folders, context) =>
    folders.change(context, 'main', (room, at): Change<null> => {
      const files = Object.entries(texts).map(([path, text]) => fileOf(path, text));
      return {
        command: { type: 'import', data: { agent: 'main', files: files.map(named), room, at } },
        files,
        reply: () => null,
      };
    });
const open: Step = (folders, context) => openFolder(folders, context, { agent: 'main', name: 'Reef' });

/** What the disk has, beside what the log has; the two must be one. */
async function contents(fs: WorkspaceFs, tenant: string) {
  const onDisk: Record<string, string> = {};
  for await (const entry of fs.walk(tenant, '')) {
    if (!entry.ok) throw new Error(entry.code);
    if (entry.kind === 'directory') continue;
    const read = await fs.read(tenant, entry.path);
    if (read.ok) onDisk[entry.path] = sha256Of(read.bytes);
  }
  const inLog = Object.fromEntries(
    (await hashesOf(service.app.get<Pool>(DATABASE), tenant)).map(({ path, sha256 }) => [path, sha256]),
  );
  return { onDisk, inLog };
}

const STEPS_MAX = 100;

describe.each(['before', 'after'] as const)('a process killed just %s any step', (when) => {
  test.each<[string, Step[], Step]>([
    ['of writing a new file', [], write('main/notes/a.md', 'new')],
    ['of replacing a file', [write('main/a.md', 'old')], write('main/a.md', 'new')],
    ['of writing again what is there', [write('main/a.md', 'same')], write('main/a.md', 'same')],
    ['of deleting a file', [write('main/notes/a.md', 'old')], remove('main/notes/a.md')],
    [
      'of importing files, some of them over others',
      [write('main/a.md', 'old'), write('main/x.md', 'stays')],
      importing({ 'main/a.md': 'new', 'main/b/c.md': 'new', 'main/b/d.md': 'new' }),
    ],
    ['of laying out a new folder', [write('main/SOUL.md', 'early')], open],
  ])('%s leaves a log and a disk that agree', async (_name, before, step) => {
    let finished = false;
    for (let steps = 0; !finished; steps++) {
      expect(steps).toBeLessThan(STEPS_MAX);
      const tenant = service.tenant();
      const first = instance();
      for (const earlier of before)
        expect(await earlier(first.folders, serviceContext(tenant, 'test'))).toMatchObject({ ok: true });
      const old = await contents(first.fs, tenant);

      const killer = new Killer(steps, when);
      const victim = instance(killer);
      const context = serviceContext(tenant, 'test');
      const outcome = await step(victim.folders, context).catch(() => null);
      finished = !killer.isDead;
      if (finished) expect(outcome).toMatchObject({ ok: true });

      const heir = instance();
      await heir.folders.read(tenant, async () => undefined);
      const now = await contents(heir.fs, tenant);
      expect({ steps, ...now, onDisk: now.inLog }).toEqual({ steps, ...now });
      expect(Object.keys(now.onDisk).filter((path) => path.startsWith(HIDDEN_FOLDER))).toEqual([]);

      // The caller asks again under the same command id: it happens, once, whether or not it had.
      const committed = (await service.eventsOf(tenant)).length;
      expect(await step(heir.folders, context)).toMatchObject({ ok: true });
      const done = await contents(heir.fs, tenant);
      expect(done.onDisk).toEqual(done.inLog);
      const isOld = JSON.stringify(now) === JSON.stringify(old);
      if (!isOld) {
        // All of it had happened, and nothing of it happens again.
        expect(now).toEqual(done);
        expect((await service.eventsOf(tenant)).length).toBe(committed);
      }
      for (const { fs } of [first, victim, heir]) fs[Symbol.dispose]();
    }
  });
});

test('a failure that is no crash is mended by whoever comes next in the same process', async () => {
  const tenant = service.tenant();
  const { fs, folders } = instance();
  const move = fs.move.bind(fs);
  let fails = 1;
  fs.move = async (...parameters) => {
    if (fails-- > 0) throw new Error('the disk had a bad moment');
    return move(...parameters);
  };
  await expect(write('main/a.md', 'new')(folders, serviceContext(tenant, 'test'))).rejects.toThrow('bad moment');
  await folders.read(tenant, async () => undefined);
  const { onDisk, inLog } = await contents(fs, tenant);
  expect(inLog).toEqual({ 'main/a.md': sha256Of(Buffer.from('new')) });
  expect(onDisk).toEqual(inLog);
  fs[Symbol.dispose]();
});

describe('the files have one owner', () => {
  const options = (waitMs: number, onGivenUp = () => undefined) => ({
    databaseUrl: process.env['DATABASE_URL']!,
    logger: createLogger('workspace'),
    waitMs,
    onGivenUp,
  });

  test('and a second instance does not start beside the first', async () => {
    await expect(Ownership.take(options(300))).rejects.toThrow(
      'another instance of the workspace service owns the files',
    );
  });

  test('who has them back after the database dropped the connection, and forgets what it knew', async () => {
    const ownership = service.app.get(Ownership);
    const regained = new Promise<void>((resolve) => ownership.onRegained(resolve));
    await service.app.get<Pool>(DATABASE).query(
      `select pg_terminate_backend(pid) from pg_stat_activity
         where application_name = 'workspace owner' and datname = current_database()`,
    );
    await regained;
    expect(ownership.isHeld).toBe(true);
  });
});
