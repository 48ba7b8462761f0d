import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { findNatsServer } from './find-nats-server.js';

// Real processes, a real site on loopback, stand-ins for the programs on PATH: each is a script that says what its original would.
describe('finding a nats-server', () => {
  let home: string;
  let bin: string;
  let cacheDir: string;
  let site: Server | undefined;

  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'reef-nats-'));
    [bin, cacheDir] = [join(home, 'bin'), join(home, 'cache')];
    mkdirSync(bin);
    mkdirSync(cacheDir);
    for (const tool of ['sh', 'cat', 'cp', 'mkdir', 'chmod', 'tar', 'gzip']) {
      symlinkSync(execFileSync('sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' }).trim(), join(bin, tool));
    }
  });
  afterEach(async () => {
    await new Promise((resolve) => (site ? site.close(resolve) : resolve(undefined)));
    site = undefined;
    rmSync(home, { recursive: true, force: true });
  });

  const script = (path: string, body: string) => writeFileSync(path, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  const server = (version: string) => `echo "nats-server: v${version}"`;
  const find = (env: NodeJS.ProcessEnv = {}, more: { etcDir?: string; progress?: (step: string) => void } = {}) =>
    findNatsServer({
      cacheDir,
      platform: 'linux',
      arch: 'x64',
      etcDir: join(home, 'nothing'),
      ...more,
      // A closed port, unless the test serves a release.
      env: { PATH: bin, REEF_NATS_RELEASE_URL: 'http://127.0.0.1:9', ...env },
    });

  test('the one named by REEF_NATS_SERVER goes before the one on PATH', async () => {
    script(join(home, 'mine'), server('2.11.4'));
    script(join(bin, 'nats-server'), server('2.12.0'));
    expect(await find({ REEF_NATS_SERVER: join(home, 'mine') })).toEqual({
      path: join(home, 'mine'),
      version: '2.11.4',
      source: 'REEF_NATS_SERVER',
    });
  });

  test('a named one that is too old, or missing, is an error and not passed over', async () => {
    script(join(home, 'mine'), server('2.9.25'));
    await expect(find({ REEF_NATS_SERVER: join(home, 'mine') })).rejects.toThrow('2.9.25; 2.10 or newer is needed');
    await expect(find({ REEF_NATS_SERVER: join(home, 'none') })).rejects.toThrow('is not on PATH');
  });

  test('2.10.0 on PATH is new enough; 2.9.10 is passed over for the one in the cache', async () => {
    script(join(bin, 'nats-server'), server('2.10.0'));
    script(join(cacheDir, 'nats-server'), server('2.15.1'));
    expect((await find()).source).toBe('PATH');
    script(join(bin, 'nats-server'), server('2.9.10'));
    expect(await find()).toMatchObject({ source: 'cache', version: '2.15.1' });
  });

  test('a second, newer one on PATH is found behind one that is too old', async () => {
    const second = join(home, 'bin2');
    mkdirSync(second);
    script(join(bin, 'nats-server'), server('2.9.10'));
    script(join(second, 'nats-server'), server('2.11.0'));
    expect(await find({ PATH: `${bin}:${second}` })).toMatchObject({
      source: 'PATH',
      path: join(second, 'nats-server'),
    });
  });

  test('a release is downloaded, checked against its sum, and found in the cache the next time', async () => {
    const url = await serveRelease();
    const steps: string[] = [];
    expect(await find({ REEF_NATS_RELEASE_URL: url }, { progress: (step) => steps.push(step) })).toEqual({
      path: join(cacheDir, 'nats-server'),
      version: '2.15.2',
      source: 'release',
    });
    expect(steps.at(-1)).toMatch(/^downloading nats-server-v.*-linux-amd64\.tar\.gz$/);
    expect((await find()).source).toBe('cache');
    expect(readdirSync(cacheDir)).toEqual(['nats-server']);
  });

  test('a release whose sum does not match is thrown away', async () => {
    const url = await serveRelease({ sum: 'f'.repeat(64) });
    await expect(find({ REEF_NATS_RELEASE_URL: url })).rejects.toThrow('does not match its SHA-256 sum');
    expect(readdirSync(cacheDir)).toEqual([]);
  });

  test('the distribution’s package comes from the machine’s own mirror, from the first suite that is new enough', async () => {
    const etcDir = distribution();
    // The stand-in offers an old server in sid and a new one in trixie, and keeps the sources it was given.
    script(
      join(bin, 'apt-get'),
      `for last; do :; done
       case "$*" in
         *update*) cat sources.list >> ${home}/sources-seen;;
         *download*) case "$PWD" in */sid) v=2.9.1;; *) v=2.10.27;; esac
           echo "$v" > nats-server_1.deb;;
       esac`,
    );
    script(
      join(bin, 'dpkg'),
      `version=$(cat "$2"); mkdir -p "$3/usr/bin"
       printf '#!/bin/sh\\necho nats-server: v%s\\n' "$version" > "$3/usr/bin/nats-server"; chmod +x "$3/usr/bin/nats-server"`,
    );
    expect(await find({}, { etcDir })).toMatchObject({ source: 'distribution', version: '2.10.27' });
    expect(readFileSync(join(home, 'sources-seen'), 'utf8')).toBe(
      'deb [signed-by=/keys/archive.gpg] http://mirror.example/debian sid main\n' +
        'deb [signed-by=/keys/archive.gpg] http://mirror.example/debian trixie main\n',
    );
  });

  test('where go is installed it is compiled', async () => {
    script(join(home, 'compiled'), server('2.15.2'));
    script(join(bin, 'go'), `cp ${home}/compiled "$GOBIN/nats-server"`);
    expect(await find()).toMatchObject({ source: 'go', version: '2.15.2', path: join(cacheDir, 'nats-server') });
  });

  test('when nothing works, one error says what was tried and what to install', async () => {
    const failure = await find().catch((error: Error) => error.message);
    expect(failure).toContain('Install one (https://nats.io/download)');
    expect(failure).toContain('release: http://127.0.0.1:9');
    expect(failure).toContain('distribution: no package is known for this system');
    expect(failure).toContain('go: go is not on PATH');
    expect(existsSync(join(cacheDir, 'nats-server'))).toBe(false);
  });

  function distribution(): string {
    const etcDir = join(home, 'etc');
    mkdirSync(join(etcDir, 'apt', 'sources.list.d'), { recursive: true });
    writeFileSync(join(etcDir, 'os-release'), 'ID=debian\nVERSION_CODENAME=bookworm\n');
    writeFileSync(join(etcDir, 'apt', 'sources.list.d', 'a.list'), 'deb http://third.example/apt elsewhere main\n');
    writeFileSync(
      join(etcDir, 'apt', 'sources.list.d', 'debian.sources'),
      'Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\nSigned-By: /keys/archive.gpg\n',
    );
    return etcDir;
  }

  async function serveRelease(given: { sum?: string } = {}): Promise<string> {
    const name = 'nats-server-v2.15.2-linux-amd64';
    mkdirSync(join(home, name));
    script(join(home, name, 'nats-server'), server('2.15.2'));
    const archive = execFileSync('tar', ['-czf', '-', '-C', home, name]);
    const sum = given.sum ?? createHash('sha256').update(archive).digest('hex');
    const files: Record<string, string | Buffer> = {
      '/v2.15.2/SHA256SUMS': `${'0'.repeat(64)}  other.zip\n${sum}  ${name}.tar.gz\n`,
      [`/v2.15.2/${name}.tar.gz`]: archive,
    };
    const listening = createServer((request, response) => {
      const file = files[request.url ?? ''];
      response.writeHead(file === undefined ? 404 : 200).end(file);
    });
    site = listening;
    await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(listening.address() as AddressInfo).port}`;
  }
});
