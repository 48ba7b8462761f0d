// One PostgreSQL for the whole run: embedded by default, a container with REEF_TEST_INFRA=containers. Plain JavaScript on the
// built packages, because jest loads a global set-up outside its transforms.
import { findNatsServer, startPostgres } from '@reef/embedded';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SETTINGS = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '200' };

export default async function startServers() {
  const directory = mkdtempSync(join(tmpdir(), 'reef-test-'));
  globalThis.reefTest = { directory };
  process.env.REEF_TEST_DIRECTORY = directory;
  if (process.env.REEF_TEST_INFRA === 'containers') {
    const { GenericContainer, Wait } = await import('testcontainers');
    const container = await new GenericContainer(process.env.REEF_TEST_POSTGRES_IMAGE ?? 'postgres:18')
      .withEnvironment({ POSTGRES_PASSWORD: 'test' })
      .withCommand(['postgres', ...Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`])])
      .withExposedPorts(5432)
      .withWaitStrategy(Wait.forLogMessage(/database system is ready to accept connections/, 2))
      .start();
    globalThis.reefTest.stop = () => container.stop();
    process.env.REEF_TEST_POSTGRES_URL = `postgres://postgres:test@${container.getHost()}:${container.getMappedPort(5432)}/postgres`;
    return;
  }
  const { path } = await findNatsServer({ cacheDir: cacheDirectory(), env: process.env });
  process.env.REEF_NATS_SERVER = path;
  const postgres = await startPostgres({ dataDir: join(directory, 'postgres'), password: 'test', settings: SETTINGS });
  globalThis.reefTest.stop = () => postgres.stop();
  process.env.REEF_TEST_POSTGRES_URL = postgres.url;
}

function cacheDirectory() {
  const { REEF_CACHE, XDG_CACHE_HOME, HOME } = process.env;
  return REEF_CACHE ?? join(XDG_CACHE_HOME ?? join(HOME ?? tmpdir(), '.cache'), 'reef');
}
