import { createHash } from 'node:crypto';
import type { OutputOf, RefusalOf, Result, workspace } from '@reef/contracts';
import { PIECE_BYTES_MAX } from '@reef/contracts';
import { refuse } from '@reef/eventing/pure';
import { HIDDEN_FOLDER, refusalOf } from './disk.js';
import { FILE_BYTES_MAX, UPLOAD_KEPT_MS, UPLOAD_PIECES_MAX, UPLOADS_OPEN_MAX } from './limits.js';
import type { WorkspaceFs } from './workspace-fs/workspace-fs.js';

const UPLOADS_FOLDER = `${HIDDEN_FOLDER}/uploads`;
const OFFSET_DIGITS = 10;

interface Upload {
  /** Bytes by offset, in order and without gaps: each is a file of its own, written whole, so a crash leaves no half of one. */
  readonly pieces: Map<number, number>;
  bytes: number;
  touchedAtMs: number;
  /** A used one stays for its ten minutes, for a command that comes again, but takes no further piece and no place. */
  isUsed: boolean;
}

type Commands = typeof workspace.commands;

/**
 * Files on their way in or out, in pieces, on disk under their tenant. They are no part of the record: after ten minutes without a
 * touch they are forgotten. What is known of them is read back from the disk on the tenant's first use, so a restart loses none.
 * Callers make sure that there is one change at a time per tenant.
 */
export class Uploads {
  readonly #tenants = new Map<string, Map<string, Upload>>();

  constructor(private readonly fs: WorkspaceFs) {}

  async append(
    tenant: string,
    uploadId: string,
    offset: number,
    piece: Buffer,
  ): Promise<Result<OutputOf<Commands['uploadPiece']>, RefusalOf<Commands['uploadPiece']>>> {
    const uploads = this.#of(tenant);
    const known = uploads.get(uploadId);
    if (known?.pieces.get(offset) === piece.length && (await this.#holds(tenant, uploadId, offset, piece))) {
      known.touchedAtMs = Date.now(); // The same piece again: its answer was lost on the way.
      return { ok: true, value: { bytes: offset + piece.length } };
    }
    if (!known && openCount(uploads) >= UPLOADS_OPEN_MAX)
      return refuse('too_many_uploads', `${UPLOADS_OPEN_MAX} uploads are open already`);
    if (offset !== (known?.bytes ?? 0) || known?.isUsed)
      return refuse('piece_out_of_order', 'this is not the piece that comes next', { bytes: known?.bytes ?? 0 });
    if (offset + piece.length > FILE_BYTES_MAX || (known?.pieces.size ?? 0) >= UPLOAD_PIECES_MAX)
      return refuse('too_large', `an upload has ${FILE_BYTES_MAX} bytes in ${UPLOAD_PIECES_MAX} pieces at most`);
    const written = await this.fs.write(tenant, pieceFile(uploadId, offset), piece);
    if (!written.ok) {
      const refusal = refusalOf(written);
      if (refusal.code === 'unavailable' || refusal.code === 'overloaded') return refuse(refusal.code, refusal.message);
      throw new Error(`a piece could not be kept: ${written.code}`);
    }
    const upload = known ?? { pieces: new Map<number, number>(), bytes: 0, touchedAtMs: 0, isUsed: false };
    upload.pieces.set(offset, piece.length);
    upload.bytes = offset + piece.length;
    upload.touchedAtMs = Date.now();
    uploads.set(uploadId, upload);
    return { ok: true, value: { bytes: upload.bytes } };
  }

  /** The whole of an upload, at most 20 MB; null for one that is not known. */
  async content(tenant: string, uploadId: string): Promise<Buffer | null> {
    const upload = this.#tenants.get(tenant)?.get(uploadId);
    if (!upload) return null;
    upload.touchedAtMs = Date.now();
    const pieces: Buffer[] = [];
    for (const offset of upload.pieces.keys()) {
      const read = await this.fs.read(tenant, pieceFile(uploadId, offset));
      if (!read.ok) throw new Error(`a piece of an upload could not be read: ${read.code}`);
      pieces.push(read.bytes);
    }
    return Buffer.concat(pieces);
  }

  /** Gives up the upload's place; of used ones the newest few stay. */
  async use(tenant: string, uploadId: string): Promise<void> {
    const uploads = this.#of(tenant);
    const upload = uploads.get(uploadId);
    if (!upload) return;
    upload.isUsed = true;
    const used = [...uploads].filter(([, each]) => each.isUsed).sort(([, a], [, b]) => b.touchedAtMs - a.touchedAtMs);
    for (const [oldId] of used.slice(UPLOADS_OPEN_MAX)) await this.#forget(tenant, oldId);
  }

  /** From an offset up to the end of its piece; empty at the end of all. */
  async piece(
    tenant: string,
    uploadId: string,
    offset: number,
  ): Promise<Result<{ bytes: number; pieceBase64: string }, 'upload_unknown'>> {
    const upload = this.#tenants.get(tenant)?.get(uploadId);
    if (!upload) return refuse('upload_unknown', 'there is no such upload; uploads are forgotten after ten minutes');
    upload.touchedAtMs = Date.now();
    const found = [...upload.pieces].find(([start, bytes]) => start <= offset && offset < start + bytes);
    if (!found) return { ok: true, value: { bytes: upload.bytes, pieceBase64: '' } };
    const read = await this.fs.read(tenant, pieceFile(uploadId, found[0]));
    if (!read.ok) throw new Error(`a piece of a download could not be read: ${read.code}`);
    return {
      ok: true,
      value: { bytes: upload.bytes, pieceBase64: read.bytes.subarray(offset - found[0]).toString('base64') },
    };
  }

  /** Keeps a stream as an upload for `piece`. Under an id that is kept already, that one is the answer. */
  async keep(
    tenant: string,
    uploadId: string,
    content: AsyncIterable<Buffer>,
  ): Promise<Result<{ bytes: number }, 'too_large' | 'too_many_uploads'>> {
    const earlier = this.#of(tenant).get(uploadId);
    if (earlier?.isUsed) return { ok: true, value: { bytes: earlier.bytes } };
    if (earlier) await this.#forget(tenant, uploadId); // Left unfinished by a process that was killed.
    for await (const [offset, piece] of inPieces(content)) {
      const kept = await this.append(tenant, uploadId, offset, piece);
      if (kept.ok) continue;
      await this.#forget(tenant, uploadId);
      if (kept.code === 'piece_out_of_order') throw new Error('an export was kept out of order');
      return refuse(kept.code, kept.message);
    }
    const kept = this.#of(tenant).get(uploadId);
    if (!kept) throw new Error('an archive is never empty');
    await this.use(tenant, uploadId);
    return { ok: true, value: { bytes: kept.bytes } };
  }

  /** Reads back from disk what is not known any more; pieces that do not follow each other are left out. */
  async recover(tenant: string): Promise<void> {
    this.#tenants.delete(tenant);
    if (!(await this.fs.stat(tenant, UPLOADS_FOLDER)).ok) return;
    const uploads = this.#of(tenant);
    for await (const entry of this.fs.walk(tenant, UPLOADS_FOLDER)) {
      if (!entry.ok) throw new Error(`the uploads could not be listed: ${entry.code}`);
      const [uploadId, piece] = entry.path.slice(UPLOADS_FOLDER.length + 1).split('/');
      if (uploadId === undefined) continue;
      const upload = uploads.get(uploadId) ?? {
        pieces: new Map<number, number>(),
        bytes: 0,
        touchedAtMs: entry.modifiedAtMs,
        isUsed: false,
      };
      uploads.set(uploadId, upload);
      if (piece === undefined || Number(piece) !== upload.bytes) continue;
      upload.pieces.set(upload.bytes, entry.sizeBytes);
      upload.bytes += entry.sizeBytes;
      upload.touchedAtMs = Math.max(upload.touchedAtMs, entry.modifiedAtMs);
    }
  }

  tenantsWithUploads(): string[] {
    return [...this.#tenants.keys()];
  }

  async forgetOld(tenant: string): Promise<void> {
    for (const [uploadId, upload] of this.#tenants.get(tenant) ?? [])
      if (Date.now() - upload.touchedAtMs > UPLOAD_KEPT_MS) await this.#forget(tenant, uploadId);
    if (this.#tenants.get(tenant)?.size === 0) this.#tenants.delete(tenant);
  }

  async #forget(tenant: string, uploadId: string): Promise<void> {
    this.#tenants.get(tenant)?.delete(uploadId);
    const removed = await this.fs.remove(tenant, `${UPLOADS_FOLDER}/${uploadId}`, { recursive: true });
    if (!removed.ok && removed.code !== 'not_found') throw new Error(`an upload could not be removed: ${removed.code}`);
  }

  async #holds(tenant: string, uploadId: string, offset: number, piece: Buffer): Promise<boolean> {
    const read = await this.fs.read(tenant, pieceFile(uploadId, offset));
    return read.ok && read.bytes.equals(piece);
  }

  #of(tenant: string): Map<string, Upload> {
    let uploads = this.#tenants.get(tenant);
    if (!uploads) this.#tenants.set(tenant, (uploads = new Map()));
    return uploads;
  }
}

/** An export's id follows from its command, so that the same command sent twice makes one. */
export function exportIdOf(tenant: string, commandId: string): string {
  const hex = createHash('sha256').update(`${tenant} ${commandId}`).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

const openCount = (uploads: Map<string, Upload>): number =>
  [...uploads.values()].filter(({ isUsed }) => !isUsed).length;

const pieceFile = (uploadId: string, offset: number): string =>
  `${UPLOADS_FOLDER}/${uploadId}/${String(offset).padStart(OFFSET_DIGITS, '0')}`;

async function* inPieces(content: AsyncIterable<Buffer>): AsyncGenerator<[offset: number, piece: Buffer]> {
  let waiting: Buffer[] = [];
  let waitingBytes = 0;
  let offset = 0;
  for await (const chunk of content) {
    waiting.push(chunk);
    waitingBytes += chunk.length;
    while (waitingBytes >= PIECE_BYTES_MAX) {
      const all = Buffer.concat(waiting);
      yield [offset, all.subarray(0, PIECE_BYTES_MAX)];
      offset += PIECE_BYTES_MAX;
      waiting = [all.subarray(PIECE_BYTES_MAX)];
      waitingBytes -= PIECE_BYTES_MAX;
    }
  }
  if (waitingBytes > 0) yield [offset, Buffer.concat(waiting)];
}
