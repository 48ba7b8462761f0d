import { join } from 'node:path';
import { exec } from './exec.js';
import type { Fetched, Search } from './find-nats-server.js';

const compileLimitMs = 300_000;

/** Compiled from source, where Go is installed. */
export async function fromGo(search: Search, workDir: string): Promise<Fetched> {
  search.progress('compiling nats-server with go (a minute or two)');
  const built = await exec('go', ['install', 'github.com/nats-io/nats-server/v2@latest'], {
    env: { ...search.env, GOBIN: workDir },
    limitMs: compileLimitMs,
  });
  return built.ok ? { file: join(workDir, 'nats-server') } : { reason: built.reason };
}
