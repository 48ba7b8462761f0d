import { spawn } from 'node:child_process';
import { endAbandonedPostgres } from '@reef/embedded';
import { UsageError } from '../command-line.js';
import { Explained } from '../explained.js';
import { heading, outcomeOf, rowOf, verdictOf } from '../replay/outcome.js';
import type { Outcome } from '../replay/outcome.js';
import { databasePrefix, databasesOf, externalAdminUrl } from '../stack/databases.js';
import { requireExternal } from '../stack/external/require-external.js';
import { lockHome, runningSupervisor } from '../stack/home-lock.js';
import { ensureKeys } from '../stack/keys.js';
import { layout as layoutOf, makeHome } from '../stack/layout.js';
import type { Layout } from '../stack/layout.js';
import { postgresProgram } from '../stack/programs.js';
import { mainFile, nodeFlags, ownerEnvironment, statefulServices } from '../stack/services.js';
import type { StatefulService } from '../stack/services.js';
import { readState } from '../stack/state.js';

const replaysAtOnceMax = 2;
const outputCharactersMax = 1024 * 1024;

/**
 * Rebuilds the projections of one service or of all; with `check` only compares. A table for people, or with `json` a line of
 * JSON for each service. Exit code 1 on a difference or a failure.
 */
export async function replay(command: { service: string | undefined; check: boolean; json: boolean }): Promise<number> {
  const services = statefulServices.filter((name) => command.service === undefined || name === command.service);
  if (services.length === 0) {
    throw new UsageError(`"${command.service}" has no projections; these have: ${statefulServices.join(', ')}`);
  }
  const layout = layoutOf(process.env);
  makeHome(layout);
  const { passwords, files } = ensureKeys(layout);
  const server = await reachPostgres(layout);
  try {
    const wiring = {
      natsUrl: process.env['REEF_NATS_URL'] || runningNatsUrl(layout, passwords.nats),
      databases: databasesOf(server.adminUrl, databasePrefix(process.env), passwords),
      files,
      passwords,
      simulatorUrl: undefined,
    };
    const outcomes: Outcome[] = [];
    let allWell = true;
    const write = (text: string) => process.stdout.write(`${text}\n`);
    if (!command.json) write(heading);
    const waiting = [...services];
    const replayer = async () => {
      for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
        const env = ownerEnvironment(name, process.env, layout, wiring);
        const { code, outcome } = await replayOne(name, command.check, env);
        outcomes.push(outcome);
        allWell &&= code === 0;
        write(command.json ? JSON.stringify(outcome) : rowOf(outcome));
      }
    };
    await Promise.all(Array.from({ length: replaysAtOnceMax }, replayer));
    if (!command.json) write(verdictOf(outcomes, command.check));
    return allWell ? 0 : 1;
  } finally {
    await server.stop();
  }
}

/** The running stack's server, an existing one, or the embedded one started just for this. */
async function reachPostgres(layout: Layout): Promise<{ adminUrl: string; stop(): Promise<void> }> {
  const nothing = () => Promise.resolve();
  const external = process.env['REEF_DATABASE_URL'];
  if (external) {
    await requireExternal(process.env, ['REEF_DATABASE_URL']);
    return { adminUrl: externalAdminUrl(external), stop: nothing };
  }
  const { passwords } = ensureKeys(layout);
  if (runningSupervisor(layout) !== undefined) {
    const port = readState(layout)?.services.find(({ name }) => name === 'postgres')?.port;
    if (!port)
      throw new Explained('the stack that runs here has no PostgreSQL of its own; set REEF_DATABASE_URL as it has');
    return { adminUrl: `postgres://postgres:${passwords.postgres}@127.0.0.1:${port}/postgres`, stop: nothing };
  }
  // Locked, so that no stack starts on the same data meanwhile.
  const release = lockHome(layout);
  try {
    await endAbandonedPostgres(layout.path('postgres'));
    const program = postgresProgram(layout, passwords);
    const running = await program.start(() => undefined);
    return {
      adminUrl: program.adminUrl(),
      async stop() {
        await running.stop();
        release();
      },
    };
  } catch (error) {
    release();
    throw error;
  }
}

/** A replay speaks to nobody, but a service wants an address: the running server's, or one where nobody listens. */
function runningNatsUrl(layout: Layout, password: string): string {
  const port = readState(layout)?.services.find(({ name }) => name === 'nats')?.port || 4222;
  return `nats://reef:${password}@127.0.0.1:${port}`;
}

/** Several run at once, so each one's output is kept until it ends, and read as a whole. */
function replayOne(
  name: StatefulService,
  check: boolean,
  env: NodeJS.ProcessEnv,
): Promise<{ code: number; outcome: Outcome }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...nodeFlags, mainFile(name), 'replay', ...(check ? ['--check'] : [])], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      // The report is the last line.
      output = (output + text).slice(-outputCharactersMax);
    });
    child.once('error', (error) => resolve({ code: 1, outcome: { service: name, check, failed: error.message } }));
    child.once('close', (code) => resolve({ code: code ?? 1, outcome: outcomeOf(name, check, output) }));
  });
}
