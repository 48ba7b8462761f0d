import { describe, expect, test } from '@jest/globals';
import type { Exit } from '@reef/embedded';
import { Supervised } from './supervised.js';
import type { Program, Running } from './supervised.js';

describe('a program that is kept running', () => {
  test('is started again when it ends, and counts it', async () => {
    const stage = programs(['ready', 'ready']);
    const kept = new Supervised(stage.program, stage.events);
    await kept.start();
    stage.end(0, { code: null, signal: 'SIGKILL' });
    await until(() => stage.started.length === 2 && kept.current !== undefined);
    expect(kept.restarts).toBe(1);
    expect(kept.current?.port).toBe(2);
    expect(stage.said).toEqual(['it ended (SIGKILL); starting it again in 0.1 s']);
    await kept.stop();
  });

  test('is not started again once it was told to stop', async () => {
    const stage = programs(['ready']);
    const kept = new Supervised(stage.program, stage.events);
    await kept.start();
    await kept.stop();
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(stage.started).toHaveLength(1);
    expect(kept.current).toBeUndefined();
  });

  test('that fails to start three times is given up with its own reason', async () => {
    const stage = programs(['broken', 'broken', 'broken', 'ready']);
    const kept = new Supervised(stage.program, stage.events);
    await expect(kept.start()).rejects.toThrow('start 3 is broken');
    expect(stage.started).toHaveLength(3);
  });

  test('that fails to come back is tried again, as it once did run', async () => {
    const stage = programs(['ready', 'broken', 'ready']);
    const kept = new Supervised(stage.program, stage.events);
    await kept.start();
    stage.end(0, { code: 1, signal: null });
    await until(() => kept.current?.port === 3);
    expect(kept.restarts).toBe(2);
    expect(stage.said).toContain('start 2 is broken');
    await kept.stop();
  });

  /** A program whose starts go as written, one word each. */
  function programs(starts: readonly ('ready' | 'broken')[]) {
    const started: ((exit: Exit) => void)[] = [];
    const said: string[] = [];
    const program: Program = {
      name: 'it',
      async start(spawned) {
        let end: (exit: Exit) => void = () => undefined;
        const exited = new Promise<Exit>((resolve) => (end = resolve));
        started.push(end);
        const running: Running = {
          process: undefined,
          port: started.length,
          exited,
          async stop() {
            end({ code: 0, signal: null });
          },
        };
        if (starts[started.length - 1] !== 'ready') throw new Error(`start ${started.length} is broken`);
        spawned(running);
        return running;
      },
    };
    return {
      program,
      started,
      said,
      events: { changed: () => undefined, say: (line: string) => said.push(line) },
      end: (index: number, exit: Exit) => started[index]!(exit),
    };
  }

  async function until(condition: () => boolean): Promise<void> {
    const deadline = Date.now() + 3_000;
    while (!condition()) {
      if (Date.now() > deadline) throw new Error('it did not happen');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
});
