#!/usr/bin/env node
import { parseCommand, UsageError } from './command-line.js';
import { Explained } from './explained.js';
import { run } from './run.js';

try {
  process.exitCode = await run(parseCommand(process.argv.slice(2)));
} catch (error) {
  if (!(error instanceof UsageError) && !(error instanceof Explained)) throw error;
  process.stderr.write(`reef: ${error.message}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
