import { createHash } from 'node:crypto';

/** The same UUID (version 8, RFC 9562) for the same parts, on every instance: what makes a repeated request the same command. */
export function idFrom(parts: readonly string[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(`${Buffer.byteLength(part)}:`).update(part); // Lengths keep ("ab","c") apart from ("a","bc").
  const bytes = hash.digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

export const sha256 = (content: string | Buffer): string => createHash('sha256').update(content).digest('base64url');
