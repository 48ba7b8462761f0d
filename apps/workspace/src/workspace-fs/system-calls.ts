import { constants } from 'node:fs';
import koffi from 'koffi';

/**
 * The system calls that take a directory by descriptor, which node:fs does not offer. Each throws an error with the errno's name in
 * `code`, as node:fs does. They block, so they are used for names alone; bytes go through node:fs on the descriptor.
 * Source: openat2(2), mkdirat(2), unlinkat(2), renameat2(2).
 */
export type SystemCalls = {
  openat2(directory: number, path: string | Buffer, flags: number, resolve: number, mode: number): number;
  openat(directory: number, name: string | Buffer, flags: number, mode: number): number;
  mkdirat(directory: number, name: string, mode: number): void;
  unlinkat(directory: number, name: string | Buffer, flags: number): void;
  renameat2(from: number, fromName: string | Buffer, to: number, toName: string, flags: number): void;
};

/** Missing from node:fs; from Linux's asm-generic/fcntl.h, the same value on x64 and arm64. */
export const O_PATH = 0o10000000;
export const O_CLOEXEC = 0o2000000;
export const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants;
export const AT_REMOVEDIR = 0x200;
export const RENAME_NOREPLACE = 1;

const openat2Number = 437;
const renameat2Numbers: Readonly<Record<string, number>> = { x64: 316, arm64: 276 };
const openHowBytes = 24;

/** Throws where the C library cannot be reached: without these calls there is no safe way to a tenant's files. */
export function loadSystemCalls(): SystemCalls {
  const renameat2Number = renameat2Numbers[process.arch];
  if (process.platform !== 'linux' || renameat2Number === undefined)
    throw new Error(`no workspace on ${process.platform} ${process.arch}`);
  const library = koffi.load(null);
  const openat2 = library.func('long syscall(long number, int directory, const char *path, void *how, size_t bytes)');
  const renameat2 = library.func(
    'long syscall(long number, int from, const char *fromName, int to, const char *toName, unsigned int flags)',
  );
  const openat = library.func('int openat(int directory, const char *name, int flags, unsigned int mode)');
  const mkdirat = library.func('int mkdirat(int directory, const char *name, unsigned int mode)');
  const unlinkat = library.func('int unlinkat(int directory, const char *name, int flags)');
  const how = new BigUint64Array(3);
  return {
    openat2(directory, path, flags, resolve, mode) {
      how[0] = BigInt(flags);
      how[1] = BigInt(mode);
      how[2] = BigInt(resolve);
      return succeeded(openat2(openat2Number, directory, terminated(path), how, openHowBytes), 'openat2');
    },
    openat: (directory, name, flags, mode) => succeeded(openat(directory, terminated(name), flags, mode), 'openat'),
    mkdirat: (directory, name, mode) => void succeeded(mkdirat(directory, name, mode), 'mkdirat'),
    unlinkat: (directory, name, flags) => void succeeded(unlinkat(directory, terminated(name), flags), 'unlinkat'),
    renameat2: (from, fromName, to, toName, flags) =>
      void succeeded(renameat2(renameat2Number, from, terminated(fromName), to, toName, flags), 'renameat2'),
  };
}

/** koffi terminates a string for C but passes a buffer as it is. */
const terminated = (name: string | Buffer): string | Buffer =>
  typeof name === 'string' ? name : Buffer.concat([name, Buffer.of(0)]);

function succeeded(result: number, call: string): number {
  if (result >= 0) return result;
  // Read before anything else runs: the next native call may overwrite it.
  throw systemError(errnoNames.get(koffi.errno()) ?? `errno ${koffi.errno()}`, call);
}

export const systemError = (code: string, call: string): Error =>
  Object.assign(new Error(`${call}: ${code}`), { code, syscall: call });

const errnoNames: ReadonlyMap<number, string> = new Map(
  Object.entries(koffi.os.errno)
    // Two names share a number; the other one is what node:fs says.
    .filter(([name]) => name !== 'EWOULDBLOCK' && name !== 'ENOTSUP' && name !== 'EDEADLOCK')
    .map(([name, number]) => [number, name]),
);
