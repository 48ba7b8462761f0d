import { endAbandonedPostgres, endProcess, isRunning } from '@reef/embedded';
import type { Layout } from './layout.js';
import { readState } from './state.js';

const askLimitMs = 10_000;

/** Ends what a killed supervisor left running, services before servers; returns their names. */
export async function endOrphans(layout: Layout): Promise<readonly string[]> {
  const names = await endRecorded(layout);
  // Found by its own file, should the record be damaged or lost.
  await endAbandonedPostgres(layout.path('postgres'));
  return names;
}

async function endRecorded(layout: Layout): Promise<readonly string[]> {
  const state = readState(layout);
  if (state === undefined || isRunning(state.supervisor)) return [];
  const alive = state.services.filter(({ process }) => process !== undefined && isRunning(process));
  const [servers, services] = [alive.filter(isServer), alive.filter((service) => !isServer(service))];
  for (const group of [services, servers]) {
    await Promise.all(
      group.map(
        ({ name, process }) =>
          // PostgreSQL waits for its clients after SIGTERM, and for none after SIGINT.
          process && endProcess(process, { signal: name === 'postgres' ? 'SIGINT' : 'SIGTERM', limitMs: askLimitMs }),
      ),
    );
  }
  return alive.map(({ name }) => name);
}

function isServer({ name }: { name: string }): boolean {
  return name === 'postgres' || name === 'nats';
}
