import {
  type Refusal,
  type Result,
  type TenantContext,
  type TransportRefusal,
  workspaceChanged,
} from '@reef/contracts';
import { type EventStore, inTenants, isRefusal, refuse } from '@reef/eventing';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Pool } from 'pg';
import { type Disk, type StagedFile } from './disk.js';
import {
  folder,
  type Folder,
  type FolderCommand,
  type FolderEvent,
  type FolderRefusal,
  type Room,
} from './domain/folder.js';
import { folderStream, streamOf } from './folder-stream.js';
import { CHANGES_WAITING_MAX, QUOTA_BYTES_MAX, QUOTA_FILES_MAX } from './limits.js';
import type { Ownership } from './ownership.js';
import { hashesOf, usageOf } from './projections/files.js';
import { TenantGates } from './tenant-gates.js';
import type { Uploads } from './uploads.js';

export interface Change<Value> {
  readonly command: FolderCommand;
  /** Content of the files that the command names. */
  readonly files: readonly StagedFile[];
  /** The file that the command deletes. */
  readonly deleted?: string;
  /** Kept with the command and given again when it comes again, so it holds no file's content. */
  readonly reply: (state: Folder, events: readonly FolderEvent[]) => Value;
}

export type ChangeRefusal = FolderRefusal | 'path_refused' | 'too_large';

export interface FoldersOptions {
  readonly database: Pool;
  readonly store: EventStore;
  readonly disk: Disk;
  readonly uploads: Uploads;
  readonly nats: Pick<NatsConnection, 'publish'>;
  readonly ownership: Pick<Ownership, 'isHeld'>;
}

const notOurs = () => refuse<TransportRefusal>('unavailable', 'the files are in the hands of another instance');
const tooMany = () => refuse<TransportRefusal>('overloaded', 'too many changes of these files are waiting');

/** The log and the disk, kept in agreement: every change of a tenant's files goes through `change`, every look at them through `read`. */
export class Folders {
  readonly #gates = new TenantGates(CHANGES_WAITING_MAX);
  /** Tenants whose staged files a killed process left have been settled since this one began. */
  readonly #recovered = new Set<string>();
  readonly #listeners: ((tenant: string, agent: string) => void)[] = [];

  constructor(private readonly options: FoldersOptions) {}

  /** Calls back when a folder changed, before any reader can see it. */
  onChange(listener: (tenant: string, agent: string) => void): void {
    this.#listeners.push(listener);
  }

  /** For when another instance may have been at the files. */
  forgetAll(): void {
    this.#recovered.clear();
  }

  /**
   * Stages the bytes, commits the command, puts the bytes in place, in this order; so the answer goes out when both the log and the
   * disk have them, and a process that is killed in between leaves what `recover` needs to make the two agree.
   */
  async change<Value>(
    context: TenantContext,
    agent: string,
    prepare: (room: Room, at: string) => Change<Value>,
  ): Promise<Result<Value, ChangeRefusal>> {
    const { tenant } = context;
    const { store, disk, database, ownership } = this.options;
    const changed = await this.#gates.change(tenant, async (settling): Promise<Result<Value, ChangeRefusal>> => {
      if (!ownership.isHeld) return notOurs();
      if (Date.now() > context.deadlineMs)
        return refuse<TransportRefusal>('deadline_exceeded', 'nobody waits for this answer any more');
      await this.#recover(tenant);
      const used = await usageOf(database, tenant);
      const room = { bytes: QUOTA_BYTES_MAX - used.bytes, files: QUOTA_FILES_MAX - used.files };
      const change = prepare(room, new Date().toISOString());
      const before = await this.#state(tenant, agent);
      const decision = folder.decide(change.command, before);
      const isRefused = isRefusal(decision);
      const named = new Set(isRefused ? [] : decision.flatMap(pathsOf));
      const files = change.files.filter(({ path }) => named.has(path));
      const deleted = isRefused ? undefined : change.deleted;
      const sha256 = deleted === undefined ? undefined : before.files[deleted]?.sha256;
      const moving = deleted === undefined || sha256 === undefined ? files : [{ path: deleted, sha256 }];

      const outcome = await this.#orRecoverLater(tenant, async (): Promise<Result<Value, ChangeRefusal>> => {
        const refusal = await disk.stage(tenant, files);
        if (refusal) return refusal as Refusal<ChangeRefusal>;
        return settling(async () => {
          if (deleted !== undefined && sha256 !== undefined) await disk.takeOut(tenant, { path: deleted, sha256 });
          const stream = streamOf(agent);
          const { command, reply } = change;
          const result = await store.execute(folderStream, { tenant, stream, command, context, reply });
          // What was committed is asked of the log, not taken from the result: a command that came twice committed something earlier.
          const after = await this.#state(tenant, agent);
          await disk.settle(tenant, moving, (path) => after.files[path]?.sha256);
          if (after.changes !== before.changes) this.#tell(tenant, agent);
          return result;
        });
      });
      return outcome;
    });
    return changed ?? tooMany();
  }

  /** Notes in the log what changes no file, beside whatever else is going on. */
  async note(context: TenantContext, agent: string, command: FolderCommand): Promise<Result<undefined, FolderRefusal>> {
    const { tenant } = context;
    return this.options.store.execute(folderStream, { tenant, stream: streamOf(agent), command, context });
  }

  /** Looks at log and disk while no change is settling, so that the two agree. */
  async read<T>(tenant: string, work: () => Promise<T>): Promise<T | Refusal<TransportRefusal>> {
    if (!this.options.ownership.isHeld) return notOurs();
    if (!this.#recovered.has(tenant)) {
      const recovered = await this.#gates.change(tenant, () => this.#recover(tenant).then(() => true));
      if (!recovered) return tooMany();
    }
    return this.#gates.read(tenant, work);
  }

  /** Work on uploads, one at a time: no change of the log. */
  async withUploads<T>(tenant: string, work: (uploads: Uploads) => Promise<T>): Promise<T | Refusal<TransportRefusal>> {
    const done = await this.#gates.change(tenant, async () => {
      if (!this.options.ownership.isHeld) return { value: notOurs() };
      await this.#recover(tenant);
      return { value: await work(this.options.uploads) };
    });
    return done ? done.value : tooMany();
  }

  async #state(tenant: string, agent: string): Promise<Folder> {
    return (await this.options.store.load(folderStream, tenant, streamOf(agent))).state;
  }

  /** Settles what a killed process left behind, once per tenant, before anything else is done with its files. */
  async #recover(tenant: string): Promise<void> {
    if (this.#recovered.has(tenant)) return;
    const { disk, database, uploads } = this.options;
    await this.#awaitCommitsInFlight(tenant);
    await disk.recover(tenant, () => hashesOf(database, tenant));
    await uploads.recover(tenant);
    this.#recovered.add(tenant);
  }

  /** The killed process' last commit may still be at work in the database: it holds the streams' heads until it is done. */
  async #awaitCommitsInFlight(tenant: string): Promise<void> {
    await inTenants(this.options.database, [tenant], (client) =>
      client.query('select from es.stream where tenant_id = $1 order by stream_id for update', [tenant]),
    );
  }

  async #orRecoverLater<T>(tenant: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      // Whether it was committed is not known here. The next who comes settles what is staged by asking the log.
      this.#recovered.delete(tenant);
      throw error;
    }
  }

  #tell(tenant: string, agent: string): void {
    for (const listener of this.#listeners) listener(tenant, agent);
    this.options.nats.publish(workspaceChanged.subject(tenant));
  }
}

function pathsOf(event: FolderEvent): string[] {
  if (event.type === 'FileWritten') return [event.data.path];
  return event.type === 'WorkspaceImported' ? event.data.files.map(({ path }) => path) : [];
}
