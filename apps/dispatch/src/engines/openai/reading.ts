/** A provider sent JSON that is not what its format says. */
export class NotUnderstood extends Error {
  override readonly name = 'NotUnderstood';
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @throws NotUnderstood */
export function recordOf(value: unknown): Record<string, unknown> {
  if (isRecord(value)) return value;
  throw new NotUnderstood();
}

/** Null and absent are an empty text. @throws NotUnderstood */
export function textOf(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'string') return value;
  throw new NotUnderstood();
}

/** Null and absent are an empty list. @throws NotUnderstood */
export function listOf(value: unknown): unknown[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value;
  throw new NotUnderstood();
}
