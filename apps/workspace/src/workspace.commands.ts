import { type InputOf, type Result, type ResultOf, type TenantContext, workspace } from '@reef/contracts';
import { Command } from '@reef/messaging';
import { refuse } from '@reef/eventing';
import { contracted, DATABASE } from '@reef/service';
import { Controller, Inject } from '@nestjs/common';
import type { Pool } from 'pg';
import { ArchiveQueue, packed, unpack } from './archives.js';
import { Disk, sha256Of } from './disk.js';
import { type Change, Folders } from './folders.js';
import { QUOTA_FILES_MAX } from './limits.js';
import { MAIN, openFolder } from './open-folder.js';
import { parseFilePath } from './paths.js';
import { filesBelow, findFile } from './projections/files.js';
import { InFlight } from './in-flight.js';
import { exportIdOf } from './uploads.js';

type FileView = { path: string; bytes: number; sha256: string; modifiedAt: string };
type Commands = typeof workspace.commands;
const { commands } = workspace;

@Controller()
export class WorkspaceCommands {
  readonly #archives = new ArchiveQueue();
  readonly #imports = new InFlight();
  readonly #exports = new InFlight();

  constructor(
    @Inject(DATABASE) private readonly database: Pool,
    private readonly folders: Folders,
    private readonly disk: Disk,
  ) {}

  @Command(commands.openTenant)
  async openTenant(
    _input: InputOf<Commands['openTenant']>,
    context: TenantContext,
  ): Promise<ResultOf<Commands['openTenant']>> {
    return contracted(commands.openTenant, await openFolder(this.folders, context, MAIN));
  }

  @Command(commands.uploadPiece)
  async uploadPiece(
    input: InputOf<Commands['uploadPiece']>,
    context: TenantContext,
  ): Promise<ResultOf<Commands['uploadPiece']>> {
    const piece = Buffer.from(input.pieceBase64, 'base64');
    return this.folders.withUploads(context.tenant, (uploads) =>
      uploads.append(context.tenant, input.uploadId, input.offset, piece),
    );
  }

  @Command(commands.writeFile)
  async writeFile(
    input: InputOf<Commands['writeFile']>,
    context: TenantContext,
  ): Promise<ResultOf<Commands['writeFile']>> {
    const parsed = parseFilePath(input.path);
    if (!parsed.ok) return parsed;
    const { path, agent } = parsed;
    const { content } = input;
    const bytes =
      'base64' in content ? Buffer.from(content.base64, 'base64') : await this.#uploaded(context, content.uploadId);
    if ('ok' in bytes) return bytes;
    const file = { path, bytes: bytes.length, sha256: sha256Of(bytes) };
    const written = await this.folders.change(context, agent, (room, at): Change<FileView> => ({
      command: { type: 'write', data: { file, by: 'person', room, at } },
      files: [{ path, sha256: file.sha256, content: bytes }],
      reply: () => ({ ...file, modifiedAt: at }),
    }));
    if (written.ok && 'uploadId' in content) await this.#use(context, content.uploadId);
    return contracted(commands.writeFile, written);
  }

  @Command(commands.deleteFile)
  async deleteFile(
    input: InputOf<Commands['deleteFile']>,
    context: TenantContext,
  ): Promise<ResultOf<Commands['deleteFile']>> {
    const parsed = parseFilePath(input.path);
    if (!parsed.ok) return parsed;
    const { path, agent } = parsed;
    // Looked at first, because a link that was put there is refused as such, and not merely unknown to the log.
    const standing = await this.disk.fs.stat(context.tenant, path);
    if (!standing.ok && standing.code === 'path_refused') return refuse('path_refused', standing.reason);
    if (standing.ok && standing.kind === 'other')
      return refuse('path_refused', 'something that is no file stands at this path');
    const deleted = await this.folders.change(context, agent, (_room, at) => ({
      command: { type: 'delete', data: { path, at } },
      files: [],
      deleted: path,
      reply: () => ({}),
    }));
    return contracted(commands.deleteFile, deleted);
  }

  @Command(commands.importWorkspace)
  async importWorkspace(
    input: InputOf<Commands['importWorkspace']>,
    context: TenantContext,
  ): Promise<ResultOf<Commands['importWorkspace']>> {
    return this.#imports.join(context, () => this.#import(input, context));
  }

  async #import(
    input: InputOf<Commands['importWorkspace']>,
    context: TenantContext,
  ): Promise<ResultOf<Commands['importWorkspace']>> {
    return this.#archives.run(async () => {
      const archive = await this.#uploaded(context, input.uploadId);
      if ('ok' in archive) return archive;
      const unpacked = await unpack(archive, input.agent);
      if (!unpacked.ok) return unpacked;
      const files = unpacked.files.map((file) => ({ ...file, sha256: sha256Of(file.content) }));
      const named = files.map(({ path, content, sha256 }) => ({ path, bytes: content.length, sha256 }));
      const value = { files: named.length, bytes: named.reduce((sum, { bytes }) => sum + bytes, 0) };
      const imported = await this.folders.change(context, input.agent, (room, at) => ({
        command: { type: 'import', data: { agent: input.agent, files: named, room, at } },
        files,
        reply: () => value,
      }));
      if (imported.ok) await this.#use(context, input.uploadId);
      if (!imported.ok && (imported.code === 'not_a_file' || imported.code === 'path_refused'))
        return refuse('archive_refused', imported.message, { reason: imported.code });
      return contracted(commands.importWorkspace, imported);
    });
  }

  @Command(commands.exportWorkspace)
  async exportWorkspace(
    input: InputOf<Commands['exportWorkspace']>,
    context: TenantContext,
  ): Promise<ResultOf<Commands['exportWorkspace']>> {
    return this.#exports.join(context, () => this.#export(input, context));
  }

  async #export(
    { agent }: InputOf<Commands['exportWorkspace']>,
    context: TenantContext,
  ): Promise<ResultOf<Commands['exportWorkspace']>> {
    const { tenant } = context;
    const uploadId = exportIdOf(tenant, context.commandId);
    return this.#archives.run(() =>
      // Between two changes, so that the archive is the folder at one moment.
      this.folders.withUploads(tenant, async (uploads): Promise<ResultOf<Commands['exportWorkspace']>> => {
        const { isKnownAgent } = await findFile(this.database, tenant, agent, '');
        if (!isKnownAgent) return refuse('agent_unknown', 'there is no such agent');
        const files = await filesBelow(this.database, tenant, `${agent}/`, { limit: QUOTA_FILES_MAX });
        const archive = await packed(
          this.disk,
          tenant,
          agent,
          files.map(({ path }) => path),
        );
        const kept = await uploads.keep(tenant, uploadId, archive);
        return kept.ok ? { ok: true, value: { uploadId, bytes: kept.value.bytes } } : kept;
      }),
    );
  }

  async #uploaded(
    context: TenantContext,
    uploadId: string,
  ): Promise<Buffer | (Result<never, 'upload_unknown'> & { ok: false })> {
    const content = await this.folders.withUploads(context.tenant, (uploads) =>
      uploads.content(context.tenant, uploadId),
    );
    return content ?? refuse('upload_unknown', 'there is no such upload; uploads are forgotten after ten minutes');
  }

  async #use(context: TenantContext, uploadId: string): Promise<void> {
    await this.folders.withUploads(context.tenant, (uploads) => uploads.use(context.tenant, uploadId));
  }
}
