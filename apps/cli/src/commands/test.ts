import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, delimiter, join } from 'node:path';
import type { Height } from '../command-line.js';
import { repositoryRoot } from '../stack/layout.js';

interface Totals {
  passed: number;
  failed: number;
  skipped: number;
}

/** Checks the sources (only when all heights are asked for), runs the tests, and ends with one line of totals. */
export async function test(command: { heights: readonly Height[] }): Promise<number> {
  const whole = command.heights.length > 1;
  const failedChecks: string[] = [];
  for (const check of whole ? checks : checks.filter(({ always }) => always)) {
    process.stdout.write(`\n── ${check.name}\n`);
    if ((await runToEnd(check.args)) !== 0) failedChecks.push(check.name);
  }
  const totals: Totals = { passed: 0, failed: 0, skipped: 0 };
  let failedRuns = 0;
  for (const height of command.heights) {
    process.stdout.write(`\n── ${height} tests\n`);
    if (!(await runHeight(height, totals))) failedRuns += 1;
  }
  if (failedChecks.length > 0) process.stdout.write(`\nnot in order: ${failedChecks.join(', ')}\n`);
  process.stdout.write(`\n${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped\n`);
  return failedChecks.length + failedRuns + totals.failed === 0 ? 0 : 1;
}

const bin = (path: string) => join(repositoryRoot, 'node_modules', path);
const checks = [
  { name: 'build', always: true, args: [bin('typescript-native/bin/tsc'), '-b'] },
  { name: 'types of the tests', always: false, args: [bin('typescript-native/bin/tsc'), '-p', 'tsconfig.spec.json'] },
  // The rule that keeps apps apart reads Nx's cached picture of the projects, and is silently skipped without one.
  { name: 'project graph', always: false, args: [bin('nx/dist/bin/nx.js'), 'show', 'projects'] },
  { name: 'eslint', always: false, args: [bin('eslint/bin/eslint.js'), '.', '--max-warnings', '0'] },
  { name: 'prettier', always: false, args: [bin('prettier/bin/prettier.cjs'), '--check', '.'] },
];

/** A suite that fails to load counts as one failed test: jest itself counts none. False when jest found fault. */
async function runHeight(height: Height, totals: Totals): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), 'reef-test-'));
  const outputFile = join(folder, 'result.json');
  try {
    const code = await runToEnd([
      '--experimental-vm-modules',
      '--disable-warning=ExperimentalWarning',
      bin('jest/bin/jest.js'),
      ...['--selectProjects', height, '--passWithNoTests', '--forceExit', '--json', `--outputFile=${outputFile}`],
    ]);
    const result = JSON.parse(readFileSync(outputFile, 'utf8')) as Record<string, number>;
    totals.passed += result['numPassedTests'] ?? 0;
    totals.failed += (result['numFailedTests'] ?? 0) + (result['numRuntimeErrorTestSuites'] ?? 0);
    totals.skipped += (result['numPendingTests'] ?? 0) + (result['numTodoTests'] ?? 0);
    return code === 0;
  } catch {
    totals.failed += 1; // Jest did not even start: there is no result to read.
    return false;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Jest's JSON goes to its file; what it prints for people goes to stderr, which is shown. */
function runToEnd(args: readonly string[]): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...args], {
      cwd: repositoryRoot,
      env: {
        ...process.env,
        NX_DAEMON: 'false',
        PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}`,
      },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    child.once('error', () => resolve(1));
    child.once('exit', (code) => resolve(code ?? 1));
  });
}
