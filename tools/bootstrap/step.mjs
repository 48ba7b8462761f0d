import { spawn } from 'node:child_process';

/** A failure with all that a person needs to know: shown without a stack. */
export class Failure extends Error {}

const linesKeptMax = 2_000;
const linesShownMax = 20;
const lineLengthMax = 300;

/** Runs one step under a name and shows the time it took. */
export async function step(name, work) {
  const startedMs = Date.now();
  const live = process.stderr.isTTY;
  if (live) process.stderr.write(`… ${name}`);
  else process.stderr.write(`… ${name}\n`);
  try {
    const result = await work();
    process.stderr.write(`${live ? '\r' : ''}✓ ${name} (${((Date.now() - startedMs) / 1000).toFixed(1)} s)\n`);
    return result;
  } catch (error) {
    process.stderr.write(`${live ? '\r' : ''}✗ ${name}\n`);
    throw error;
  }
}

/** Runs a program to its end. On failure shows the last lines it printed (those like `telling`, if any is), and the advice. */
export function run(command, args, { cwd, env = process.env, limitMs, advice, telling = /./ }) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const lines = [];
    const keep = (chunk) => {
      lines.push(...chunk.toString('utf8').split('\n'));
      if (lines.length > linesKeptMax) lines.splice(0, lines.length - linesKeptMax);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    const timer = setTimeout(() => {
      keep(Buffer.from(`stopped after ${limitMs / 1000} s\n`));
      child.kill('SIGKILL');
    }, limitMs);
    const fail = (reason) => {
      const told = lines.filter((line) => telling.test(line));
      const said = (told.length > 0 ? told : lines.filter((line) => line.trim() !== ''))
        .slice(-linesShownMax)
        .map((line) => line.slice(0, lineLengthMax));
      reject(new Failure([`${command} ${reason}`, ...said.map((line) => `  ${line}`), advice].join('\n')));
    };
    child.on('error', (error) => {
      clearTimeout(timer);
      fail(error.code === 'ENOENT' ? 'is not on PATH' : error.message);
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      if (code === 0) resolve();
      else fail(`ended with ${code}`);
    });
  });
}
