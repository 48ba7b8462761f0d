import { closeSync, existsSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { lastLines } from '@reef/embedded';
import { Explained } from '../explained.js';
import { layout as layoutOf } from '../stack/layout.js';

const linesMax = 100;
const pollMs = 300;
const chunkBytesMax = 64 * 1024;

/** The end of one log or of all; with `follow` goes on until Ctrl-C. */
export async function logs(command: { service: string | undefined; follow: boolean }): Promise<number> {
  const layout = layoutOf(process.env);
  const folder = layout.path('logs');
  const names = existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => name.endsWith('.log'))
        .map((name) => name.replace(/\.log$/, ''))
    : [];
  if (names.length === 0) throw new Explained(`there are no logs in ${folder} yet`);
  if (command.service !== undefined && !names.includes(command.service)) {
    throw new Explained(`there is no log of "${command.service}"; there are ${names.join(', ')}`);
  }
  const shown = command.service === undefined ? names : [command.service];
  const followed = shown.map((name) => ({ name, file: layout.logFile(name), at: 0 }));
  for (const log of followed) {
    log.at = statSync(log.file).size;
    if (shown.length > 1) process.stdout.write(`── ${log.name}\n`);
    process.stdout.write(`${lastLines(log.file, { linesMax: shown.length > 1 ? 10 : linesMax })}\n`);
  }
  while (command.follow) {
    for (const log of followed) {
      const { text, at } = readFrom(log.file, log.at);
      log.at = at;
      if (text !== '') process.stdout.write(shown.length > 1 ? text.replace(/^(?=.)/gm, `${log.name}: `) : text);
    }
    await sleep(pollMs);
  }
  return 0;
}

function readFrom(file: string, from: number): { text: string; at: number } {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  const start = size < from ? 0 : from; // Smaller than before: it has been rotated.
  const buffer = Buffer.alloc(Math.min(chunkBytesMax, size - start));
  if (buffer.length === 0) return { text: '', at: start };
  const descriptor = openSync(file, 'r');
  try {
    readSync(descriptor, buffer, 0, buffer.length, start);
  } finally {
    closeSync(descriptor);
  }
  return { text: buffer.toString('utf8'), at: start + buffer.length };
}
