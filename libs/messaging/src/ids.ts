import { v7 } from 'uuid';

/** A new UUID version 7 (RFC 9562): unique everywhere, and ordered by time within a millisecond. */
export const newId = (): string => v7();
