import { z } from 'zod';
import { command, event, query, service } from './declare.js';
import { agentId, count, emptyObject, endUser, instant, page, pageOf, uuid } from './values.js';

/** Bytes of a file that fit into one message: base64 of it stays below NATS' default payload of 1 MiB. */
export const PIECE_BYTES_MAX = 512 * 1024;

/** Relative to the tenant's root, the first part naming the agent: `main/SOUL.md`; at most 1,024 bytes. Refused lexically by the service. */
export const filePath = z.string().min(1).max(4_096);
const pieceBase64 = z.base64().max(Math.ceil(PIECE_BYTES_MAX / 3) * 4);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

export const fileView = z.object({ path: z.string(), bytes: count, sha256, modifiedAt: instant });
export const skillView = z.object({ name: z.string(), description: z.string(), location: z.string() });

const pathRefusals = ['path_refused', 'file_not_found', 'not_a_file', 'agent_unknown'] as const;
const writeRefusals = ['path_refused', 'quota_exceeded', 'too_large', 'not_a_file', 'upload_unknown'] as const;

export const workspace = service('workspace', {
  commands: {
    /** Lays out a new tenant's folder for its agent `main`; doing it again changes nothing. */
    openTenant: command({ input: emptyObject, output: emptyObject }),
    /** Appends a piece to an upload that `writeFile` or `importWorkspace` then uses. Uploads are forgotten after ten minutes. */
    uploadPiece: command({
      input: z.strictObject({ uploadId: uuid, offset: count, pieceBase64 }),
      output: z.object({ bytes: count }),
      refusals: ['too_large', 'piece_out_of_order', 'too_many_uploads'],
    }),
    /** Replaces a whole file; content comes inline or from an upload. */
    writeFile: command({
      input: z.strictObject({
        path: filePath,
        content: z.union([z.strictObject({ base64: pieceBase64 }), z.strictObject({ uploadId: uuid })]),
      }),
      output: fileView,
      refusals: writeRefusals,
    }),
    deleteFile: command({ input: z.strictObject({ path: filePath }), output: emptyObject, refusals: pathRefusals }),
    /** Unpacks a tar.gz or zip into an agent's folder: every entry or none. */
    importWorkspace: command({
      input: z.strictObject({ agent: agentId, uploadId: uuid }),
      output: z.object({ files: count, bytes: count }),
      refusals: ['archive_refused', 'quota_exceeded', 'too_large', 'upload_unknown'],
    }),
    /** Packs an agent's folder into an upload that `downloadPiece` reads. */
    exportWorkspace: command({
      input: z.strictObject({ agent: agentId }),
      output: z.object({ uploadId: uuid, bytes: count }),
      refusals: ['agent_unknown', 'too_large', 'too_many_uploads'],
    }),
    /** Runs one of the agent's file tools: a refused path or a missing file is an answer for the model, not a refusal. */
    runTool: command({
      input: z.strictObject({
        agent: agentId,
        user: endUser.nullable(),
        turnId: uuid,
        toolCallId: z.string().max(200),
        name: z.string().max(64),
        argumentsJson: z.string().max(700_000),
      }),
      output: z.object({ content: z.string(), isError: z.boolean() }),
      refusals: ['tool_unknown'],
    }),
  },
  queries: {
    readFile: query({
      input: z.strictObject({
        path: filePath,
        offset: count.default(0),
        bytesMax: z.int().min(1).max(PIECE_BYTES_MAX).default(PIECE_BYTES_MAX),
      }),
      output: z.object({
        path: z.string(),
        bytes: count,
        offset: count,
        pieceBase64: z.string(),
        sha256: sha256.nullable(),
        modifiedAt: instant,
      }),
      refusals: pathRefusals,
    }),
    downloadPiece: query({
      input: z.strictObject({ uploadId: uuid, offset: count }),
      output: z.object({ bytes: count, pieceBase64: z.string() }),
      refusals: ['upload_unknown'],
    }),
    listFiles: query({
      input: z.strictObject({ prefix: z.string().max(4_096).default(''), ...page }),
      output: pageOf(fileView),
      refusals: ['path_refused'],
    }),
    usage: query({
      input: emptyObject,
      output: z.object({ bytes: count, files: count, bytesMax: count, filesMax: count }),
    }),
    skills: query({ input: z.strictObject({ agent: agentId }), output: z.object({ items: z.array(skillView) }) }),
    /** All that an agent's prompt takes from its files. */
    promptContext: query({
      input: z.strictObject({ agent: agentId, user: endUser.nullable() }),
      output: z.object({
        /** Injected files in no particular order; text is cut at 20,000 characters, `bytes` is the true size. */
        files: z.array(z.object({ path: z.string(), text: z.string(), bytes: count })),
        skills: z.array(skillView),
        /** Whether the agent has yet to be introduced to its people. */
        isNew: z.boolean(),
      }),
    }),
  },
  events: {
    /** An agent's folder was laid out with the files every agent begins with; `FileWritten` follows for each. */
    WorkspaceOpened: event(z.object({ agent: agentId, openedAt: instant })),
    FileWritten: event(
      z.object({ path: z.string(), bytes: count, sha256, writtenAt: instant, by: z.enum(['person', 'agent', 'reef']) }),
    ),
    FileDeleted: event(z.object({ path: z.string(), deletedAt: instant })),
    /** A large import is several of these, committed together. */
    WorkspaceImported: event(
      z.object({
        agent: agentId,
        files: z.array(z.object({ path: z.string(), bytes: count, sha256 })),
        importedAt: instant,
      }),
    ),
    ToolRun: event(
      z.object({
        agent: agentId,
        turnId: uuid,
        toolCallId: z.string(),
        name: z.string(),
        failed: z.boolean(),
        ranAt: instant,
      }),
    ),
  },
});

/** Core NATS, not stored: a tenant's files changed, so what was cached of them is stale. Published before the command's reply. */
export const workspaceChanged = {
  subject: (tenant: string) => `tenant.${tenant}.workspace.live.changed`,
  pattern: 'tenant.*.workspace.live.changed',
};
