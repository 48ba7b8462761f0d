import type { Readable } from 'node:stream';
import type { Strategy } from './beneath.js';
import { countUsage } from './counting.js';
import { standOn, tenantOf } from './ground.js';
import { defaultLimits, type WorkspaceLimits } from './limits.js';
import {
  list,
  read,
  readStream,
  stat,
  walk,
  type Entry,
  type EntryFacts,
  type ListOptions,
  type Page,
  type ReadOptions,
} from './reading.js';
import { answer, type Answer } from './refusal.js';
import { Staging } from './staging.js';
import { TenantLedger, type Usage } from './tenant-ledger.js';
import { mkdir, move, remove, writeAll, type Change, type FileToWrite, type MoveOptions } from './writing.js';

export type WorkspaceOptions = Partial<WorkspaceLimits> & {
  /** Left out, `openat2` is used where the system has it and `walk` where not. */
  strategy?: Strategy;
};

export type { Answer, Entry, EntryFacts, FileToWrite, ListOptions, Page, Strategy, Usage };
export type { Refusal, RefusalCode } from './refusal.js';

/**
 * The one way to tenants' files. Every path is relative to the tenant's own directory and is looked up beneath it, following no link and
 * crossing no mount, by descriptor from the root down. A "no" is a value; what throws is a bug or a broken disk.
 *
 * One instance owns a tenant's files at a time: quotas are kept in this process's memory. What a sandbox writes is not seen by them
 * until `usage(tenant, { recount: true })`, so call that after each run.
 */
export interface WorkspaceFs extends Disposable {
  readonly strategy: Strategy;
  /** Refuses with `too_large` above `maxBytes`, or the largest file the port would write. */
  read(tenant: string, path: string, options?: ReadOptions): Promise<Answer<{ bytes: Buffer } & EntryFacts>>;
  /** The caller must read the stream to its end or destroy it: it holds a descriptor. */
  readStream(
    tenant: string,
    path: string,
    options?: { maxBytes?: number },
  ): Promise<Answer<{ stream: Readable } & EntryFacts>>;
  /** Replaces atomically, making parents; on disk, file and name, when it returns. Answers the usage afterwards. */
  write(
    tenant: string,
    path: string,
    bytes: Uint8Array,
    options?: { mayReplace?: boolean; executable?: boolean },
  ): Promise<Answer<Usage>>;
  writeAll(tenant: string, files: readonly FileToWrite[], directories?: readonly string[]): Promise<Answer<Usage>>;
  list(tenant: string, directory: string, options?: ListOptions): Promise<Answer<Page>>;
  walk(tenant: string, directory: string): AsyncGenerator<Answer<Entry>>;
  stat(tenant: string, path: string): Promise<Answer<EntryFacts>>;
  /** Answers what was freed. */
  remove(tenant: string, path: string, options?: { recursive?: boolean }): Promise<Answer<Usage>>;
  move(tenant: string, from: string, to: string, options?: MoveOptions): Promise<Answer>;
  mkdir(tenant: string, path: string): Promise<Answer<Usage>>;
  usage(tenant: string, options?: { recount?: boolean }): Promise<Answer<Usage>>;
}

/** Opens the folder that holds the tenants' folders, making it if need be. Throws where the system offers no safe way in. */
export function openWorkspaceFs(root: string, options: WorkspaceOptions = {}): WorkspaceFs {
  const { strategy: forced, ...limits } = options;
  const ground = standOn(root, { ...defaultLimits, ...limits }, forced);
  const ledger = new TenantLedger(ground.limits, (tenant) => countUsage(ground, tenant));
  const change: Change = { ground, ledger, staging: new Staging(ground) };
  const openStreams = new Map<string, number>();
  return {
    strategy: ground.strategy,
    read: (tenant, path, options) => read(ground, tenant, path, options),
    readStream: (tenant, path, options) => readStream(ground, openStreams, tenant, path, options),
    write: (tenant, path, bytes, { mayReplace, ...how } = {}) =>
      writeAll(change, tenant, [{ path, bytes, ...how }], [], mayReplace),
    writeAll: (tenant, files, directories) => writeAll(change, tenant, files, directories),
    list: (tenant, directory, options) => list(ground, tenant, directory, options),
    walk: (tenant, directory) => walk(ground, tenant, directory),
    stat: (tenant, path) => stat(ground, tenant, path),
    remove: (tenant, path, options) => remove(change, tenant, path, options),
    move: (tenant, from, to, options) => move(change, tenant, from, to, options),
    mkdir: (tenant, path) => mkdir(change, tenant, path),
    usage: (tenant, options) =>
      answer(() =>
        ledger.run(tenantOf(tenant), (account) => {
          if (options?.recount) ledger.forget(tenant);
          return account.usage();
        }),
      ),
    [Symbol.dispose]: () => {
      change.staging[Symbol.dispose]();
      ground.close();
    },
  };
}
