/** The first characters of a text, counted in UTF-16 units as OpenClaw counts, without cutting one in half. */
export function cutText(text: string, charactersMax: number): string {
  if (text.length <= charactersMax) return text;
  const cut = text.slice(0, charactersMax);
  return cut.isWellFormed() ? cut : cut.slice(0, -1);
}

/** The text of a file, or null for one that is no text: bytes that are not UTF-8, or a NUL. */
export function textOf(bytes: Uint8Array): string | null {
  if (bytes.includes(0)) return null;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** The beginning of a file as text, whatever it holds; what is cut off at its end leaves no half character. */
export const beginningOf = (bytes: Uint8Array, charactersMax: number): string =>
  // A character takes at least one byte, and no UTF-16 unit more than three: the rest need not be decoded.
  cutText(
    new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(0, charactersMax * 3 + 4)),
    charactersMax,
  );
