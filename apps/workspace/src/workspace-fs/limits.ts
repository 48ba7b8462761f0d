const mebibyte = 1024 * 1024;

/** Everything that is bounded, and where. Bytes are bytes of content as `stat` gives them. */
export type WorkspaceLimits = {
  /** Content bytes of one tenant in all. */
  bytesMax: number;
  /** Files and directories of one tenant in all; a directory counts, since it costs the disk an inode too. */
  filesMax: number;
  /** Bytes of one file written through the port. */
  fileBytesMax: number;
  /** Entries of one page of a list. */
  pageMax: number;
  /** Names one directory may hold and still be listed, since sorting needs all of them. */
  directoryNamesMax: number;
  /** Changes of one tenant that may wait for the one at work. */
  waitingMax: number;
  /** Streams one tenant may hold open. */
  streamsMax: number;
  /** Tenants whose usage is remembered; the one idle longest is counted anew when it comes back. */
  tenantsRememberedMax: number;
};

export const defaultLimits: WorkspaceLimits = {
  bytesMax: 1024 * mebibyte,
  filesMax: 50_000,
  fileBytesMax: 10 * mebibyte,
  pageMax: 1_000,
  directoryNamesMax: 100_000,
  waitingMax: 256,
  streamsMax: 16,
  tenantsRememberedMax: 10_000,
};

/** Past these a workspace is not counted but taken as full; only a sandbox can make such a tree. */
export const countedFilesMax = 1_000_000;
export const countedLevelsMax = 256;
