import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { exec } from './exec.js';
import type { Fetched, Search } from './find-nats-server.js';

const releaseVersion = '2.15.2';
const officialSite = 'https://github.com/nats-io/nats-server/releases/download';
const connectLimitMs = 10_000;
const downloadLimitMs = 120_000;
const archiveBytesMax = 64 * 1024 * 1024;
const listBytesMax = 64 * 1024;

/** The project's own release, checked against its SHA256SUMS. `REEF_NATS_RELEASE_URL` names a mirror of the download folder. */
export async function fromRelease(search: Search, workDir: string): Promise<Fetched> {
  const site = search.env['REEF_NATS_RELEASE_URL'] ?? officialSite;
  const folder = `${site}/v${releaseVersion}`;
  const name = archiveName(search.platform, search.arch);
  if (name === undefined) return { reason: `no release is known for ${search.platform} on ${search.arch}` };

  const list = await download(`${folder}/SHA256SUMS`, { bytesMax: listBytesMax, limitMs: connectLimitMs });
  if ('reason' in list) return list;
  const expected = sumOf(name, list.bytes.toString('utf8'));
  if (expected === undefined) return { reason: `SHA256SUMS does not list ${name}` };

  search.progress(`downloading ${name}`);
  const archive = await download(`${folder}/${name}`, { bytesMax: archiveBytesMax, limitMs: downloadLimitMs });
  if ('reason' in archive) return archive;
  const actual = createHash('sha256').update(archive.bytes).digest('hex');
  if (actual !== expected) return { reason: `${name} does not match its SHA-256 sum and was thrown away` };

  const file = join(workDir, name);
  writeFileSync(file, archive.bytes);
  const unpacked = await exec('tar', ['-xzf', file, '-C', workDir], { env: search.env, limitMs: 30_000 });
  if (!unpacked.ok) return { reason: unpacked.reason };
  return { file: join(workDir, name.replace(/\.tar\.gz$/, ''), 'nats-server') };
}

function archiveName(platform: string, arch: string): string | undefined {
  const processor = { x64: 'amd64', arm64: 'arm64' }[arch];
  const known = platform === 'linux' || platform === 'darwin';
  return known && processor !== undefined
    ? `nats-server-v${releaseVersion}-${platform}-${processor}.tar.gz`
    : undefined;
}

function sumOf(name: string, list: string): string | undefined {
  const line = list.split('\n').find((candidate) => candidate.trim().split(/\s+\*?/)[1] === name);
  return line?.trim().split(/\s+/)[0]?.toLowerCase();
}

async function download(
  url: string,
  limits: { bytesMax: number; limitMs: number },
): Promise<{ bytes: Buffer } | { reason: string }> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(limits.limitMs) });
    if (!response.ok || response.body === null) return { reason: `${url} answered ${response.status}` };
    const pieces: Uint8Array[] = [];
    let length = 0;
    for await (const piece of response.body) {
      length += piece.length;
      if (length > limits.bytesMax) return { reason: `${url} is larger than ${limits.bytesMax} bytes` };
      pieces.push(piece);
    }
    return { bytes: Buffer.concat(pieces) };
  } catch (error) {
    const cause = (error as { cause?: { code?: string } }).cause?.code;
    return { reason: `${url} cannot be reached (${cause ?? (error as Error).name})` };
  }
}
