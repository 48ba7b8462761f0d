import { afterAll } from '@jest/globals';
import { startNats } from '@reef/embedded';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

interface TestNats {
  readonly url: string;
  stop(): Promise<unknown>;
}

let started: Promise<TestNats> | null = null;
let users = 0;
let fileIsDone = false;

/** The NATS server of this spec file: services of one name in two files would answer each other's requests. */
export async function natsOfThisFile(): Promise<string> {
  started ??= process.env['REEF_TEST_INFRA'] === 'containers' ? inContainer() : embedded();
  return (await started).url;
}

/** As `natsOfThisFile`, and the server stays until it is released: hooks end in the order they were written in. */
export async function holdNats(): Promise<{ url: string; release(): Promise<void> }> {
  users++;
  const url = await natsOfThisFile();
  return {
    url,
    async release() {
      users--;
      await stopIfUnused();
    },
  };
}

afterAll(async () => {
  fileIsDone = true;
  await stopIfUnused();
});

async function stopIfUnused(): Promise<void> {
  if (fileIsDone && users === 0) await (await started)?.stop();
}

async function embedded(): Promise<TestNats> {
  const directory = join(required('REEF_TEST_DIRECTORY'), `nats-${process.pid}-${Math.random().toString(36).slice(2)}`);
  mkdirSync(directory, { recursive: true });
  return startNats({
    binary: required('REEF_NATS_SERVER'),
    storeDir: join(directory, 'jetstream'),
    user: 'test',
    password: 'test',
  });
}

async function inContainer(): Promise<TestNats> {
  const { GenericContainer, Wait } = await import('testcontainers');
  const container = await new GenericContainer(process.env['REEF_TEST_NATS_IMAGE'] ?? 'nats:2.12')
    .withCommand(['--jetstream', '--user', 'test', '--pass', 'test'])
    .withExposedPorts(4222)
    .withWaitStrategy(Wait.forLogMessage(/Server is ready/))
    .start();
  return {
    url: `nats://test:test@${container.getHost()}:${container.getMappedPort(4222)}`,
    stop: () => container.stop(),
  };
}

export function required(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: integration specs run under the jest project "int"`);
  return value;
}
