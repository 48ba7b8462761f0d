import { execFile } from 'node:child_process';

export interface Ran {
  readonly ok: boolean;
  readonly stdout: string;
  /** One line for people: why it failed. Empty when it did not. */
  readonly reason: string;
}

/** Runs a short-lived command found on the environment's PATH. Never throws: a command that is missing is a failure as any other. */
export function exec(
  command: string,
  args: readonly string[],
  options: { env: NodeJS.ProcessEnv; limitMs: number; cwd?: string },
): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(
      command,
      [...args],
      {
        env: options.env,
        timeout: options.limitMs,
        maxBuffer: 4 * 1024 * 1024,
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      },
      (error, stdout, stderr) => {
        if (error === null) return resolve({ ok: true, stdout, reason: '' });
        const said = stderr.trim().split('\n').at(-1);
        const reason =
          (error as NodeJS.ErrnoException).code === 'ENOENT'
            ? `${command} is not on PATH`
            : error.killed
              ? `${command} took longer than ${options.limitMs / 1000} s`
              : `${command} failed: ${said || error.message}`;
        resolve({ ok: false, stdout, reason });
      },
    );
  });
}
