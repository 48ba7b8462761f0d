import { isRunning, residentBytes } from '@reef/embedded';
import { runningSupervisor } from '../stack/home-lock.js';
import { layout as layoutOf } from '../stack/layout.js';
import { isListening, isReady } from '../stack/probe.js';
import { readState } from '../stack/state.js';
import type { RecordedService } from '../stack/state.js';

interface ServiceStatus {
  readonly name: string;
  readonly pid: number | null;
  readonly port: number;
  readonly ready: boolean;
  readonly rssBytes: number;
  readonly restarts: number;
}

/** Exit code 0 when everything is ready, 1 when something is not, or nothing runs. */
export async function status(command: { json: boolean }): Promise<number> {
  const layout = layoutOf(process.env);
  const supervisor = runningSupervisor(layout);
  const state = readState(layout);
  const recorded = supervisor === undefined ? [] : (state?.services ?? []);
  const services = await Promise.all(recorded.map(statusOf));
  if (command.json) process.stdout.write(`${JSON.stringify({ services })}\n`);
  else if (supervisor === undefined) process.stdout.write(`nothing runs in ${layout.home}; start it with ./reef up\n`);
  else process.stdout.write(table(services, residentBytes(supervisor.pid) ?? 0, state?.baseUrl ?? ''));
  return services.length > 0 && services.every(({ ready }) => ready) ? 0 : 1;
}

async function statusOf({ name, process, port, readyPath, restarts }: RecordedService): Promise<ServiceStatus> {
  const alive = process !== undefined && isRunning(process);
  return {
    name,
    pid: alive ? process.pid : null,
    port,
    ready: alive && (await (readyPath === undefined ? isListening(port) : isReady(port, readyPath))),
    rssBytes: alive ? (residentBytes(process.pid) ?? 0) : 0,
    restarts,
  };
}

function table(services: readonly ServiceStatus[], supervisorBytes: number, baseUrl: string): string {
  const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
  const total = services.reduce((sum, { rssBytes }) => sum + rssBytes, supervisorBytes);
  const rows = [
    ['service', 'pid', 'port', 'ready', 'memory', 'restarts'],
    ...services.map((one) => [
      one.name,
      String(one.pid ?? '-'),
      String(one.port),
      one.ready ? 'yes' : 'no',
      megabytes(one.rssBytes),
      String(one.restarts),
    ]),
  ];
  const widths = [0, 1, 2, 3, 4, 5].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const text = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return `${text.join('\n')}\n\n${baseUrl}, ${megabytes(total)} in all\n`;
}
