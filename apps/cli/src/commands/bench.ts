import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Bench, Figure } from '../bench/bench.js';
import { machine } from '../bench/machine.js';
import { UsageError } from '../command-line.js';

const folder = join(dirname(fileURLToPath(import.meta.url)), '..', 'bench');
const frame = ['bench.js', 'machine.js'];

/** Runs one benchmark, or all, one after the other: each is a module of `bench/` that exports `bench`. */
export async function bench(command: { bench: string | undefined; json: boolean }): Promise<number> {
  const names = readdirSync(folder)
    .filter((file) => file.endsWith('.js') && !frame.includes(file) && !file.endsWith('.spec.js'))
    .map((file) => file.replace(/\.js$/, ''));
  if (command.bench !== undefined && !names.includes(command.bench)) {
    throw new UsageError(`there is no benchmark "${command.bench}"; there are ${names.join(', ')}`);
  }
  const say = (line: string) => process.stderr.write(`${line}\n`);
  const here = machine();
  if (!command.json)
    process.stdout.write(`${here.cpu}, ${here.cores} cores, ${here.memoryGb} GB, ${here.os}, Node ${here.node}\n`);
  const results: Record<string, readonly Figure[]> = {};
  for (const name of command.bench === undefined ? names : [command.bench]) {
    const { bench: one } = (await import(pathToFileURL(join(folder, `${name}.js`)).href)) as { bench: Bench };
    say(`… ${name}: ${one.about}`);
    results[name] = await one.run(say);
    if (!command.json) process.stdout.write(table(name, results[name]));
  }
  if (command.json) process.stdout.write(`${JSON.stringify({ machine: here, benches: results }, null, 2)}\n`);
  return 0;
}

function table(name: string, figures: readonly Figure[]): string {
  const width = Math.max(...figures.map((figure) => figure.name.length));
  const rows = figures.map((figure) => `  ${figure.name.padEnd(width)}  ${figure.value} ${figure.unit}`);
  return `${name}\n${rows.join('\n')}\n`;
}
