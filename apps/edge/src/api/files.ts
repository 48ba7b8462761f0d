import { Readable } from 'node:stream';
import {
  agentId,
  filePath,
  fileView,
  type OutputOf,
  PIECE_BYTES_MAX,
  type Refusal,
  type Result,
  workspace,
} from '@reef/contracts';
import { newId } from '@reef/messaging';
import { z } from 'zod';
import { NOT_FOUND, refused, Refused } from '../http/refusals.js';
import { BYTES, type Call, ok, pageQuery, route, SENT } from '../http/route.js';
import { idFrom, sha256 } from '../ids.js';
import { LIMITS } from '../limits.js';
import { mediaTypeOf } from './media-types.js';

const TENANT = '/api/tenants/{tenant}';
const anyPath = z.strictObject({ path: z.string() });
type Piece = OutputOf<typeof workspace.queries.readFile>;

export const fileRoutes = [
  route({
    method: 'GET',
    path: `${TENANT}/files`,
    summary: 'Files, the first part of a path naming the agent',
    access: { plane: 'tenant', role: 'member' },
    query: z.strictObject({ ...pageQuery, prefix: workspace.queries.listFiles.input.shape.prefix }),
    answer: { status: 200, body: workspace.queries.listFiles.output },
    handle: (call) => call.ask(workspace.queries.listFiles, call.query),
  }),
  route({
    method: 'GET',
    path: `${TENANT}/files/{path*}`,
    summary: "A file's bytes",
    access: { plane: 'tenant', role: 'member' },
    params: anyPath,
    answer: { status: 200, media: ['application/octet-stream'] },
    async handle(call) {
      const path = pathOf(call);
      if (path === null) return NOT_FOUND;
      const first = await call.ask(workspace.queries.readFile, { path, offset: 0, bytesMax: PIECE_BYTES_MAX });
      if (!first.ok) return first;
      return sendFile(call, path, first.value);
    },
  }),
  route({
    method: 'PUT',
    path: `${TENANT}/files/{path*}`,
    summary: 'Replace a whole file with the bytes of the body',
    access: { plane: 'tenant', role: 'member' },
    params: anyPath,
    body: BYTES,
    bodyBytesMax: LIMITS.fileBytes,
    answer: { status: 200, body: fileView },
    async handle(call) {
      const path = pathOf(call);
      if (path === null) return NOT_FOUND;
      const uploaded = await upload(call, LIMITS.fileBytes, call.commandId);
      if (!uploaded.ok) return uploaded;
      const { last, uploadId } = uploaded.value;
      // What fits into one message goes with it; the rest went ahead in pieces.
      const content = uploadId === null ? { base64: last.toString('base64') } : { uploadId };
      return call.ask(workspace.commands.writeFile, { path, content });
    },
  }),
  route({
    method: 'DELETE',
    path: `${TENANT}/files/{path*}`,
    summary: 'Delete a file',
    access: { plane: 'tenant', role: 'member' },
    params: anyPath,
    answer: { status: 204 },
    async handle(call) {
      const path = pathOf(call);
      return path === null ? NOT_FOUND : call.ask(workspace.commands.deleteFile, { path });
    },
  }),
  route({
    method: 'POST',
    path: `${TENANT}/workspace/import`,
    summary: "Unpack a tar.gz or zip into an agent's folder: every entry or none",
    access: { plane: 'tenant', role: 'admin' },
    query: z.strictObject({ agent: agentId.default('main') }),
    body: BYTES,
    bodyBytesMax: LIMITS.archiveBytes,
    answer: { status: 200, body: workspace.commands.importWorkspace.output },
    async handle(call) {
      const uploaded = await upload(call, LIMITS.archiveBytes, call.commandId, { alwaysInPieces: true });
      if (!uploaded.ok) return uploaded;
      const { uploadId } = uploaded.value;
      if (uploadId === null) return refused('malformed_request', 'the body is empty');
      return call.ask(workspace.commands.importWorkspace, { agent: call.query.agent, uploadId });
    },
  }),
  route({
    method: 'GET',
    path: `${TENANT}/workspace/export`,
    summary: "An agent's folder as tar.gz, to be taken away or imported elsewhere",
    access: { plane: 'tenant', role: 'admin' },
    query: z.strictObject({ agent: agentId.default('main') }),
    answer: { status: 200, media: ['application/gzip'] },
    async handle(call) {
      const packed = await call.ask(workspace.commands.exportWorkspace, call.query);
      if (!packed.ok) return packed;
      const { uploadId, bytes } = packed.value;
      await call.reply
        .headers({
          'content-type': 'application/gzip',
          'content-length': bytes,
          'content-disposition': `attachment; filename="${call.query.agent}.tar.gz"`,
        })
        .send(Readable.from(download(call, uploadId, bytes)));
      return SENT;
    },
  }),
];

/** The path as the client spelt it, percent-decoded exactly once; null where it cannot be decoded or is no path at all. */
export function pathOf({ request }: Pick<Call, 'request'>): string | null {
  const [raw = ''] = (request.raw.url ?? '').split('?');
  const rest = raw.split('/').slice(5).join('/'); // After "/api/tenants/{tenant}/files/".
  try {
    return filePath.safeParse(decodeURIComponent(rest)).data ?? null;
  } catch {
    return null;
  }
}

async function sendFile(call: Call, path: string, first: Piece): Promise<typeof SENT> {
  const { reply, request } = call;
  const etag = first.sha256 === null ? null : `"${first.sha256}"`;
  const name = path.split('/').at(-1) ?? 'file';
  reply.headers({
    'content-type': mediaTypeOf(name),
    // A tenant's file is never a page of ours: it is saved, not shown.
    'content-disposition': `attachment; filename*=UTF-8''${encodeURIComponent(name).replace(/['()*]/g, escapeChar)}`,
    'content-security-policy': "default-src 'none'; sandbox",
    'last-modified': new Date(first.modifiedAt).toUTCString(),
    ...(etag && { etag }),
  });
  if (etag && request.headers['if-none-match'] === etag) await reply.code(304).send();
  else await reply.header('content-length', first.bytes).send(Readable.from(pieces(call, path, first)));
  return SENT;
}

const escapeChar = (char: string) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`;

/** Reads on while the file stays what it was; if it changes under the reader, the connection breaks rather than mixing two. */
async function* pieces(call: Call, path: string, first: Piece): AsyncGenerator<Buffer> {
  let piece = first;
  let offset = 0;
  for (;;) {
    const content = Buffer.from(piece.pieceBase64, 'base64');
    yield content;
    offset += content.length;
    if (offset >= first.bytes) return;
    if (content.length === 0) throw new Error('the file ended early');
    const next = await call.ask(workspace.queries.readFile, { path, offset, bytesMax: PIECE_BYTES_MAX });
    if (!next.ok) throw new Refused(next);
    if (next.value.bytes !== first.bytes || next.value.modifiedAt !== first.modifiedAt)
      throw new Error('the file changed while it was read');
    piece = next.value;
  }
}

async function* download(call: Call, uploadId: string, bytes: number): AsyncGenerator<Buffer> {
  for (let offset = 0; offset < bytes;) {
    const piece = await call.ask(workspace.queries.downloadPiece, { uploadId, offset });
    if (!piece.ok) throw new Refused(piece);
    const content = Buffer.from(piece.value.pieceBase64, 'base64');
    if (content.length === 0) throw new Error('the export ended early');
    yield content;
    offset += content.length;
  }
}

interface Uploaded {
  /** The upload that holds everything; null where one message holds it. */
  readonly uploadId: string | null;
  readonly last: Buffer;
}

/** Takes a body in as it comes, in pieces that fit into a message; at most one piece and what just arrived are in memory. */
async function upload(
  call: Call,
  bytesMax: number,
  commandId: string,
  { alwaysInPieces = false } = {},
): Promise<Result<Uploaded>> {
  if (Number(call.request.headers['content-length'] ?? 0) > bytesMax) return tooLarge(call, bytesMax);
  const hash: string[] = [];
  let uploadId: string | null = null;
  let collected: Buffer[] = [];
  let collectedBytes = 0;
  let sentBytes = 0;

  const flush = async (piece: Buffer): Promise<Refusal | null> => {
    hash.push(sha256(piece));
    // Under an Idempotency-Key the first piece names the upload, so that the same body is the same command.
    uploadId ??= call.idempotencyKey === null ? newId() : idFrom([commandId, ...hash]);
    const input = { uploadId, offset: sentBytes, pieceBase64: piece.toString('base64') };
    const taken = await call.ask(workspace.commands.uploadPiece, input, { commandId: newId() });
    sentBytes += piece.length;
    return taken.ok ? null : taken;
  };

  // Leaving the loop early must not destroy the connection: the refusal goes over it.
  const body = call.request.raw.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  for await (const chunk of body) {
    collected.push(chunk);
    collectedBytes += chunk.length;
    if (sentBytes + collectedBytes > bytesMax) return tooLarge(call, bytesMax);
    while (collectedBytes > PIECE_BYTES_MAX) {
      const all = Buffer.concat(collected);
      const failed = await flush(all.subarray(0, PIECE_BYTES_MAX));
      if (failed) return abandon(call, failed);
      collected = [all.subarray(PIECE_BYTES_MAX)];
      collectedBytes -= PIECE_BYTES_MAX;
    }
  }
  const last = Buffer.concat(collected);
  if (last.length > 0 && (uploadId !== null || alwaysInPieces)) {
    const failed = await flush(last);
    if (failed) return failed;
  }
  return ok({ uploadId, last });
}

const tooLarge = (call: Call, bytesMax: number) =>
  abandon(call, refused('too_large', `at most ${bytesMax} bytes`, { bytesMax }));

/**
 * The rest of the body is read and forgotten: a client that is still sending would see a broken connection instead of the answer.
 * It has the time of a request to end.
 */
function abandon(call: Call, refusal: Refusal): Refusal {
  const { raw } = call.request;
  call.reply.raw.once('finish', () => raw.resume()); // Not before the loop over it has let go.
  return refusal;
}
