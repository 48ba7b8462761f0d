/** An opaque page cursor: the sort key of the last item seen. */
export function encodeCursor(values: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(values)).toString('base64url');
}

/** The values of a cursor of ours; null for anything else. */
export function decodeCursor(cursor: string): (string | number)[] | null {
  try {
    const values: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    const good = Array.isArray(values) && values.every((value) => typeof value === 'string' || Number.isFinite(value));
    return good ? (values as (string | number)[]) : null;
  } catch {
    return null;
  }
}
