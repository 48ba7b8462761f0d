import { EventStore } from '@reef/eventing';
import {
  DATABASE,
  environment,
  LOGGER,
  NATS,
  Periodic,
  ReefModule,
  type ServiceDefinition,
  serviceEnvironment,
} from '@reef/service';
import type { NatsConnection } from '@nats-io/transport-node';
import { Inject, Injectable, Module, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { z } from 'zod';
import { Disk } from './disk.js';
import { folderStream } from './folder-stream.js';
import { Folders } from './folders.js';
import { DISK_BYTES_MAX, DISK_ENTRIES_MAX, FILE_BYTES_MAX } from './limits.js';
import { migrations } from './migrations/index.js';
import { Ownership } from './ownership.js';
import { PromptContexts } from './prompt-contexts.js';
import { NewAgents } from './reactions/new-agents.js';
import { Uploads } from './uploads.js';
import { WorkspaceCommands } from './workspace.commands.js';
import { WorkspaceQueries } from './workspace.queries.js';
import { WorkspaceTools } from './workspace.tools.js';
import { openWorkspaceFs, type WorkspaceFs } from './workspace-fs/workspace-fs.js';

export const definition: ServiceDefinition = {
  name: 'workspace',
  aggregates: [folderStream],
  entities: [],
  migrations,
};

const WORKSPACE_FS = Symbol('WORKSPACE_FS');
const SWEEP_EVERY_MS = 60_000;

const workspaceEnvironment = z.object({
  ...serviceEnvironment.shape,
  /** The folder that holds every tenant's folder. */
  WORKSPACE_ROOT: z.string().min(1),
  /** How long to wait for another instance to let go of the files, ms. */
  WORKSPACE_OWNER_WAIT_MS: z.coerce.number().int().min(0).default(30_000),
});

/** Ties the parts together: what changes is forgotten where it was remembered, and what is old is swept away. */
@Injectable()
class Upkeep implements OnModuleInit, OnApplicationShutdown {
  constructor(
    private readonly folders: Folders,
    private readonly contexts: PromptContexts,
    private readonly uploads: Uploads,
    private readonly ownership: Ownership,
    private readonly periodic: Periodic,
    @Inject(WORKSPACE_FS) private readonly fs: WorkspaceFs,
  ) {}

  onModuleInit(): void {
    this.folders.onChange((tenant, agent) => this.contexts.forget(tenant, agent));
    this.ownership.onRegained(() => {
      this.folders.forgetAll();
      this.contexts.forgetAll();
    });
    this.periodic.every(SWEEP_EVERY_MS, 'forget old uploads', async () => {
      for (const tenant of this.uploads.tenantsWithUploads())
        await this.folders.withUploads(tenant, (uploads) => uploads.forgetOld(tenant));
    });
  }

  async onApplicationShutdown(): Promise<void> {
    await this.ownership.release();
    this.fs[Symbol.dispose]();
  }
}

@Module({
  imports: [ReefModule.for(definition)],
  controllers: [WorkspaceCommands, WorkspaceTools, WorkspaceQueries, NewAgents],
  providers: [
    {
      provide: Ownership,
      inject: [LOGGER],
      useFactory: (logger: Logger) => {
        const { DATABASE_URL, WORKSPACE_OWNER_WAIT_MS } = environment(workspaceEnvironment);
        return Ownership.take({
          databaseUrl: DATABASE_URL,
          logger,
          waitMs: WORKSPACE_OWNER_WAIT_MS,
          onGivenUp: () => {
            logger.fatal('another instance owns the files now');
            process.kill(process.pid, 'SIGTERM');
          },
        });
      },
    },
    {
      provide: WORKSPACE_FS,
      inject: [Ownership], // Nothing touches the files before they are ours.
      useFactory: (_ownership: Ownership) =>
        openWorkspaceFs(environment(workspaceEnvironment).WORKSPACE_ROOT, {
          bytesMax: DISK_BYTES_MAX,
          filesMax: DISK_ENTRIES_MAX,
          fileBytesMax: FILE_BYTES_MAX,
        }),
    },
    { provide: Disk, inject: [WORKSPACE_FS], useFactory: (fs: WorkspaceFs) => new Disk(fs) },
    { provide: Uploads, inject: [WORKSPACE_FS], useFactory: (fs: WorkspaceFs) => new Uploads(fs) },
    {
      provide: PromptContexts,
      inject: [DATABASE, WORKSPACE_FS],
      useFactory: (database: Pool, fs: WorkspaceFs) => new PromptContexts(database, fs),
    },
    {
      provide: Folders,
      inject: [DATABASE, EventStore, Disk, Uploads, NATS, Ownership],
      useFactory: (
        database: Pool,
        store: EventStore,
        disk: Disk,
        uploads: Uploads,
        nats: NatsConnection,
        ownership: Ownership,
      ) => new Folders({ database, store, disk, uploads, nats, ownership }),
    },
    Upkeep,
  ],
})
export class WorkspaceModule {}
