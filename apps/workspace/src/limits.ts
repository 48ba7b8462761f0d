const mebibyte = 1024 * 1024;

/** What one tenant's files may take in all, over all its agents. */
export const QUOTA_BYTES_MAX = 200 * mebibyte;
export const QUOTA_FILES_MAX = 10_000;

/** A path is the key of an index in PostgreSQL, which takes 2,700 bytes at most; and it must fit under the staging folder's. */
export const PATH_BYTES_MAX = 1_024;
export const PATH_LEVELS_MAX = 32;

/** One file, one upload, one export. */
export const FILE_BYTES_MAX = 20 * mebibyte;
/** What an imported archive may unpack to: it is judged in memory before the first byte is written. */
export const UNPACKED_BYTES_MAX = 100 * mebibyte;
/** Imports and exports that one process works on at once, and that may wait: each import may hold 120 MB. */
export const ARCHIVES_AT_ONCE_MAX = 2;
export const ARCHIVES_WAITING_MAX = 16;

export const UPLOADS_OPEN_MAX = 4;
export const UPLOAD_PIECES_MAX = 1_000;
export const UPLOAD_KEPT_MS = 10 * 60_000;

/** Changes of one tenant that may wait for the one at work. */
export const CHANGES_WAITING_MAX = 128;

export const PROMPT_FILE_CHARACTERS_MAX = 20_000;
export const SKILLS_MAX = 100;
export const SKILL_DESCRIPTION_CHARACTERS_MAX = 1_024;
export const SKILL_FRONT_MATTER_BYTES_MAX = 16 * 1024;
/** Prompt contexts kept in memory, in characters of their texts. */
export const CONTEXTS_CACHED_CHARACTERS_MAX = 32_000_000;

export const TOOL_ANSWER_CHARACTERS_MAX = 50_000;
export const TOOL_LIST_FILES_MAX = 1_000;

/**
 * What the file system port itself allows a tenant: the quota, and room beside it for a change that is being staged, for uploads and
 * exports, and for directories, which the port counts and the quota does not. It bounds the disk; the quota is decided by the log.
 */
export const DISK_BYTES_MAX = QUOTA_BYTES_MAX + UNPACKED_BYTES_MAX + 3 * UPLOADS_OPEN_MAX * FILE_BYTES_MAX;
export const DISK_ENTRIES_MAX = 4 * QUOTA_FILES_MAX + 3 * UPLOADS_OPEN_MAX * UPLOAD_PIECES_MAX;
