import { type InputOf, type ResultOf, type TenantContext, workspace } from '@reef/contracts';
import { Query } from '@reef/messaging';
import { refuse } from '@reef/eventing';
import { contracted, DATABASE } from '@reef/service';
import { Controller, Inject } from '@nestjs/common';
import type { Pool } from 'pg';
import { Disk } from './disk.js';
import { Folders } from './folders.js';
import { QUOTA_BYTES_MAX, QUOTA_FILES_MAX } from './limits.js';
import { parseFilePath, parsePrefix } from './paths.js';
import { PromptContexts } from './prompt-contexts.js';
import { findFile, listFiles, usageOf } from './projections/files.js';

type Queries = typeof workspace.queries;
const { queries } = workspace;

@Controller()
export class WorkspaceQueries {
  constructor(
    @Inject(DATABASE) private readonly database: Pool,
    private readonly folders: Folders,
    private readonly disk: Disk,
    private readonly contexts: PromptContexts,
  ) {}

  @Query(queries.readFile)
  async readFile(
    input: InputOf<Queries['readFile']>,
    { tenant }: TenantContext,
  ): Promise<ResultOf<Queries['readFile']>> {
    const parsed = parseFilePath(input.path);
    if (!parsed.ok) return parsed;
    const { path, agent } = parsed;
    const { offset, bytesMax } = input;
    return this.folders.read(tenant, async (): Promise<ResultOf<Queries['readFile']>> => {
      const { isKnownAgent, file } = await findFile(this.database, tenant, agent, path);
      if (!isKnownAgent) return refuse('agent_unknown', 'there is no such agent');
      const piece = await this.disk.piece(tenant, path, { offset, bytesMax });
      if (!piece.ok) return contracted(queries.readFile, piece);
      // Something that only the disk has is no file of the tenant's.
      if (!file) return refuse('file_not_found', 'there is no such file');
      const pieceBase64 = piece.bytes.toString('base64');
      return { ok: true, value: { ...file, bytes: piece.size, offset, pieceBase64 } };
    });
  }

  @Query(queries.downloadPiece)
  async downloadPiece(
    { uploadId, offset }: InputOf<Queries['downloadPiece']>,
    { tenant }: TenantContext,
  ): Promise<ResultOf<Queries['downloadPiece']>> {
    return this.folders.withUploads(tenant, (uploads) => uploads.piece(tenant, uploadId, offset));
  }

  @Query(queries.listFiles)
  async listFiles(
    input: InputOf<Queries['listFiles']>,
    { tenant }: TenantContext,
  ): Promise<ResultOf<Queries['listFiles']>> {
    const parsed = parsePrefix(input.prefix);
    if (!parsed.ok) return parsed;
    const page = await listFiles(this.database, tenant, input);
    return page ? { ok: true, value: page } : refuse('invalid_input', 'this cursor is not one of ours');
  }

  @Query(queries.usage)
  async usage(_input: InputOf<Queries['usage']>, { tenant }: TenantContext): Promise<ResultOf<Queries['usage']>> {
    const used = await usageOf(this.database, tenant);
    return { ok: true, value: { ...used, bytesMax: QUOTA_BYTES_MAX, filesMax: QUOTA_FILES_MAX } };
  }

  @Query(queries.skills)
  async skills({ agent }: InputOf<Queries['skills']>, { tenant }: TenantContext): Promise<ResultOf<Queries['skills']>> {
    return this.folders.read(tenant, async (): Promise<ResultOf<Queries['skills']>> => {
      const { skills } = await this.contexts.of(tenant, agent, null);
      return { ok: true, value: { items: skills } };
    });
  }

  @Query(queries.promptContext)
  async promptContext(
    { agent, user }: InputOf<Queries['promptContext']>,
    { tenant }: TenantContext,
  ): Promise<ResultOf<Queries['promptContext']>> {
    return this.folders.read(tenant, async (): Promise<ResultOf<Queries['promptContext']>> => {
      return { ok: true, value: await this.contexts.of(tenant, agent, user) };
    });
  }
}
