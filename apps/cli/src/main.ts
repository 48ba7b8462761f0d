#!/usr/bin/env node
import { parseCommand, UsageError } from './command-line.js';
import { Explained } from './explained.js';
import { run } from './run.js';

for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    // Whoever read us has left, as `head` does. A supervisor goes on; for the rest there is nothing more to do.
    if (process.argv[2] !== 'up') process.exit(0);
  });
}

try {
  // Not left to the event loop: a download that was given up may still be on it.
  process.exit(await run(parseCommand(process.argv.slice(2))));
} catch (error) {
  if (!(error instanceof UsageError) && !(error instanceof Explained)) throw error;
  process.stderr.write(`reef: ${error.message}\n`);
  process.exit(error instanceof UsageError ? 2 : 1);
}
