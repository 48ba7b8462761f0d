import { Explained } from '../explained.js';
import type { Demo } from '../stack/demo.js';
import { lockHome } from '../stack/home-lock.js';
import { Keeper } from '../stack/keeper.js';
import { layout as layoutOf, makeHome } from '../stack/layout.js';
import { lineReport } from '../stack/report.js';
import { keepRotating } from '../stack/rotate-logs.js';
import { startStack } from '../stack/start-stack.js';
import { welcome } from '../stack/welcome.js';

/** What a detached supervisor tells the terminal it was started from. */
export type Progress =
  | { readonly kind: 'line'; readonly text: string }
  | { readonly kind: 'ready'; readonly text: string }
  | { readonly kind: 'failed'; readonly text: string };

/** Starts the stack and stays with it until a signal ends both. */
export async function up(command: { fresh: boolean; json: boolean }): Promise<number> {
  const layout = layoutOf(process.env);
  makeHome(layout);
  const release = lockHome(layout);
  const tell = teller();
  const say = (text: string) => tell({ kind: 'line', text });
  const report = lineReport(command.json ? () => undefined : say);
  const keeper = new Keeper(layout, `http://127.0.0.1:${layout.port}`, say);
  const stopped = untilSignal(keeper, say);
  const startedMs = performance.now();
  try {
    // A person who gives up does not wait for a download.
    const started = await Promise.race([startStack(layout, process.env, keeper, report, command), stopped]);
    if (started === undefined) return 130;
    const { demo, warning } = started;
    keepRotating(layout.path('logs'));
    if (warning !== undefined) say(`! ${warning}`);
    const ms = Math.round(performance.now() - startedMs);
    tell({ kind: 'ready', text: command.json ? summary(demo, ms, report.steps) : ready(demo, ms) });
    await stopped;
    return 0;
  } catch (error) {
    const byPerson = keeper.stopping;
    await keeper.stop();
    if (byPerson) return 130;
    if (!(error instanceof Error)) throw error;
    tell({ kind: 'failed', text: error.message });
    if (error instanceof Explained || process.connected) return 1;
    throw error;
  } finally {
    keeper.record();
    release();
  }
}

function ready(demo: Demo, ms: number): string {
  return `\nReady in ${(ms / 1000).toFixed(1)} s\n${welcome(demo)}`;
}

function summary(demo: Demo, ms: number, steps: readonly { name: string; ms: number }[]): string {
  return JSON.stringify({ ready: true, baseUrl: demo.baseUrl, tenant: demo.tenant, pid: process.pid, ms, steps });
}

/** To the terminal; a detached one to its starter while that listens, and only plain lines to its log. */
function teller(): (progress: Progress) => void {
  process.channel?.unref();
  return (progress) => {
    if (process.send !== undefined && process.connected) {
      process.send(progress, undefined, undefined, () => undefined);
    } else if (progress.kind === 'failed') {
      process.stderr.write(`reef: ${progress.text}\n`);
    } else if (process.send === undefined || progress.kind === 'line') {
      process.stdout.write(`${progress.text}\n`);
    }
  };
}

/** Resolves when a signal came and everything has ended. A second signal ends the waiting. */
function untilSignal(keeper: Keeper, say: (line: string) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      if (keeper.stopping) return keeper.killAll();
      say('stopping');
      keeper.stop().then(resolve, reject);
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
  });
}
