import { spawn } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';
import { commandLine, identify, isRunning, residentBytes } from './process-identity.js';
import { endProcess } from './child.js';

describe('who has a pid', () => {
  test('a process is known by its pid and its start, and not once it has ended', async () => {
    const child = spawn('sleep', ['60']);
    const pid = child.pid!;
    const identity = identify(pid)!;
    expect(isRunning(identity)).toBe(true);
    expect(isRunning({ ...identity, startedAt: 'earlier' })).toBe(false);
    expect(commandLine(pid)).toEqual(['sleep', '60']);

    expect(await endProcess({ pid, startedAt: 'earlier' }, { signal: 'SIGTERM', limitMs: 50 })).toBe(true);
    expect(isRunning(identity)).toBe(true);
    expect(await endProcess(identity, { signal: 'SIGTERM', limitMs: 2_000 })).toBe(true);
    expect(isRunning(identity)).toBe(false);
  });

  test('a process that ignores the signal is killed after the limit', async () => {
    const child = spawn('sh', ['-c', 'trap "" TERM; echo ready; while :; do sleep 1 >&-; done'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await new Promise((resolve) => child.stdout!.once('data', resolve));
    const identity = identify(child.pid!)!;
    expect(await endProcess(identity, { signal: 'SIGTERM', limitMs: 50 })).toBe(true);
  });

  test('memory is that of this process, and nothing is known of a pid that nobody has', () => {
    expect(residentBytes(process.pid)).toBeGreaterThan(10_000_000);
    expect(identify(2 ** 22 + 1)).toBeUndefined();
    expect(residentBytes(2 ** 22 + 1)).toBeUndefined();
  });
});
