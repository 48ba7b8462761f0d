import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { identify, isRunning } from '@reef/embedded';
import { lockHome, runningSupervisor } from './home-lock.js';
import { ensureKeys } from './keys.js';
import { layout as layoutOf, makeHome } from './layout.js';
import type { Layout } from './layout.js';
import { endOrphans } from './orphans.js';
import { rotateLogs } from './rotate-logs.js';
import { readState, writeState } from './state.js';

describe('a stack’s home', () => {
  let layout: Layout;
  const sleepers: ChildProcess[] = [];

  beforeEach(() => {
    layout = layoutOf({ REEF_HOME: join(mkdtempSync(join(tmpdir(), 'reef-home-')), 'home') });
    makeHome(layout);
  });
  afterEach(() => {
    for (const sleeper of sleepers.splice(0)) sleeper.kill('SIGKILL');
    rmSync(dirname(layout.home), { recursive: true, force: true });
  });

  function sleeper() {
    const child = spawn('sleep', ['60']);
    sleepers.push(child);
    return identify(child.pid!)!;
  }

  test('is closed to other users', () => {
    expect(statSync(layout.home).mode & 0o777).toBe(0o700);
  });

  test('has one supervisor at a time', () => {
    const release = lockHome(layout);
    expect(runningSupervisor(layout)?.pid).toBe(process.pid);
    expect(() => lockHome(layout)).toThrow(`a stack already runs in ${layout.home} (process ${process.pid})`);
    release();
    expect(runningSupervisor(layout)).toBeUndefined();
    lockHome(layout)();
  });

  test.each([
    ['of a process that has ended', () => JSON.stringify({ pid: 2 ** 22 + 1, startedAt: 'x' })],
    ['whose pid is somebody else’s now', () => JSON.stringify({ pid: process.pid, startedAt: 'in another boot' })],
    ['that is damaged', () => '{"pid":'],
  ])('a lock %s is taken over', (_what, stale) => {
    writeFileSync(layout.path('reef.pid'), stale());
    const release = lockHome(layout);
    expect(runningSupervisor(layout)?.pid).toBe(process.pid);
    release();
    expect(existsSync(layout.path('reef.pid'))).toBe(false);
  });

  test('what a killed supervisor left is ended; a pid that is somebody else’s now is not touched', async () => {
    const [orphan, stranger] = [sleeper(), sleeper()];
    writeState(layout, {
      supervisor: { pid: 2 ** 22 + 1, startedAt: 'x' },
      baseUrl: '',
      services: [
        { name: 'budgets', process: orphan, port: 1, restarts: 0 },
        { name: 'memory', process: { ...stranger, startedAt: 'in another boot' }, port: 2, restarts: 0 },
        { name: 'edge', process: undefined, port: 3, restarts: 4 },
      ],
    });
    expect(await endOrphans(layout)).toEqual(['budgets']);
    expect(isRunning(orphan)).toBe(false);
    expect(isRunning(stranger)).toBe(true);
  });

  test('what a living supervisor runs is left alone', async () => {
    const child = sleeper();
    writeState(layout, {
      supervisor: identify(process.pid)!,
      baseUrl: '',
      services: [{ name: 'budgets', process: child, port: 1, restarts: 0 }],
    });
    expect(await endOrphans(layout)).toEqual([]);
    expect(isRunning(child)).toBe(true);
  });

  test('a damaged record is the same as none', () => {
    writeFileSync(layout.path('state.json'), '{"services": 7}');
    expect(readState(layout)).toBeUndefined();
    writeFileSync(layout.path('state.json'), '{');
    expect(readState(layout)).toBeUndefined();
  });

  test('keys are made once, for the owner’s eyes, and the public set holds no private part', () => {
    const first = ensureKeys(layout);
    const again = ensureKeys(layout);
    expect(again).toEqual(first);
    for (const file of Object.values(first.files)) expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(layout.path('keys', 'passwords.json')).mode & 0o777).toBe(0o600);

    const { keys } = JSON.parse(readFileSync(first.files.publicKeys, 'utf8')) as { keys: Record<string, string>[] };
    expect(keys.map(({ kid, crv }) => [kid, crv])).toEqual([
      ['edge-1', 'Ed25519'],
      ['dispatch-1', 'Ed25519'],
    ]);
    expect(keys.some((key) => 'd' in key)).toBe(false);
    expect(JSON.parse(readFileSync(first.files.edgeSigningKey, 'utf8'))).toMatchObject({
      kid: 'edge-1',
      x: keys[0]!['x'],
    });
    expect(Buffer.from(readFileSync(first.files.masterKey, 'utf8'), 'base64')).toHaveLength(32);
    expect(first.passwords.platformKey).toMatch(/^reef_platform_[a-z0-9]{16}_[a-z0-9]{64}$/);
    expect(new Set(Object.values(first.passwords.roles)).size).toBe(6);
  });

  test('a log above its limit becomes the one older copy; one at its limit stays', () => {
    writeFileSync(layout.logFile('edge'), 'x'.repeat(101));
    writeFileSync(layout.logFile('memory'), 'y'.repeat(100));
    rotateLogs(layout.path('logs'), 100);
    expect(readFileSync(layout.logFile('edge'), 'utf8')).toBe('');
    expect(readFileSync(`${layout.logFile('edge')}.1`, 'utf8')).toBe('x'.repeat(101));
    expect(readFileSync(layout.logFile('memory'), 'utf8')).toHaveLength(100);
  });

  test('a port that is none is refused', () => {
    for (const port of ['0', '65536', 'http', '80.5']) {
      expect(() => layoutOf({ REEF_PORT: port })).toThrow('is no port');
    }
    expect(layoutOf({ REEF_PORT: '65535' }).port).toBe(65_535);
  });
});
