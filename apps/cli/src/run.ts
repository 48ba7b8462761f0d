import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from './command-line.js';
import { repositoryRoot } from './stack/layout.js';

/** Runs one command and resolves with the exit code. Each is loaded only when asked for: the supervisor stays small. */
export async function run(command: Command): Promise<number> {
  switch (command.name) {
    case 'help':
      process.stdout.write(readFileSync(join(repositoryRoot, 'tools', 'help.txt'), 'utf8'));
      return 0;
    case 'up':
      if (command.detach) return (await import('./commands/up-detached.js')).upDetached(command);
      return (await import('./commands/up.js')).up(command);
    case 'down':
      return (await import('./commands/down.js')).down();
    case 'status':
      return (await import('./commands/status.js')).status(command);
    case 'logs':
      return (await import('./commands/logs.js')).logs(command);
    case 'doctor':
      return (await import('./commands/doctor.js')).doctor();
    case 'chat':
      return (await import('./commands/chat.js')).chat(command);
    case 'test':
      return (await import('./commands/test.js')).test(command);
    case 'replay':
      return (await import('./commands/replay.js')).replay(command);
    case 'bench':
      return (await import('./commands/bench.js')).bench(command);
    default:
      return command satisfies never;
  }
}
