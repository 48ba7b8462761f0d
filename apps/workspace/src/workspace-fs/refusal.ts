/**
 * Why a workspace says no. A caller branches on the code; the reason is a sentence for people and never holds a path or content.
 * - `path_refused`: the path, or what stands at it, would lead outside the tenant's files.
 * - `busy`: a written limit on waiting work or open streams is reached; try again.
 * - `no_space`: the disk itself is full, which is not the tenant's doing.
 */
export type RefusalCode =
  | 'path_refused'
  | 'not_found'
  | 'not_a_file'
  | 'not_a_directory'
  | 'not_empty'
  | 'exists'
  | 'too_large'
  | 'quota_exceeded'
  | 'no_space'
  | 'busy';

export type Refusal = { ok: false; code: RefusalCode; reason: string };

export type Answer<T extends object = object> = ({ ok: true } & T) | Refusal;

export const refuse = (code: RefusalCode, reason: string): Refusal => ({ ok: false, code, reason });

/** Carries a refusal up through open descriptors to the port, where `answer` turns it into a value. Never leaves this folder. */
export class Refused extends Error {
  constructor(readonly refusal: Refusal) {
    super(refusal.reason);
  }
}

export const refused = (code: RefusalCode, reason: string): Refused => new Refused(refuse(code, reason));

const refusalByErrno: Readonly<Record<string, Refusal>> = {
  ENOENT: refuse('not_found', 'nothing stands at this path'),
  ENOTDIR: refuse('not_a_directory', 'a part of this path is not a directory'),
  EISDIR: refuse('not_a_file', 'a directory stands at this path'),
  EEXIST: refuse('exists', 'something already stands at this path'),
  ENOTEMPTY: refuse('not_empty', 'the directory is not empty'),
  ELOOP: refuse('path_refused', 'a symbolic link stands in the way'),
  EXDEV: refuse('path_refused', 'the path leaves the workspace or its file system'),
  EACCES: refuse('path_refused', 'the system does not permit this path'),
  EPERM: refuse('path_refused', 'the system does not permit this path'),
  ENAMETOOLONG: refuse('path_refused', 'the path is longer than the system allows'),
  ENXIO: refuse('not_a_file', 'a socket, pipe or device stands at this path'),
  EAGAIN: refuse('busy', 'another process holds what stands at this path'),
  ENOSPC: refuse('no_space', 'the disk is full'),
  EDQUOT: refuse('no_space', 'the disk quota of the system is used up'),
};

export const errnoOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;

/** Runs one operation of the port: what the table or a `Refused` explains becomes a value, everything else is a bug and throws. */
export async function answer<T extends object>(operation: () => Promise<T> | T): Promise<Answer<T>> {
  try {
    return { ok: true, ...(await operation()) };
  } catch (error) {
    if (error instanceof Refused) return error.refusal;
    const refusal = refusalByErrno[errnoOf(error) ?? ''];
    if (refusal) return refusal;
    throw error;
  }
}
