import { isRunning, residentBytes } from '@reef/embedded';
import { totalOf, useOf } from '../bench/parts/processes.js';
import type { Use } from '../bench/parts/processes.js';
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
  /** Of the process itself. */
  readonly rssBytes: number;
  /**
   * Of the process and its children: PostgreSQL has one for each connection. Shared pages are divided among those who share
   * them, so that rows add up; RSS where the system does not tell.
   */
  readonly pssBytes: number;
  readonly restarts: number;
}

/** Exit code 0 when everything is ready, 1 when something is not, or nothing runs. */
export async function status(command: { json: boolean }): Promise<number> {
  const layout = layoutOf(process.env);
  const supervisor = runningSupervisor(layout);
  const state = readState(layout);
  const recorded = supervisor === undefined ? [] : (state?.services ?? []);
  const use = useOf([
    ...(supervisor === undefined ? [] : [{ name: 'supervisor', pid: supervisor.pid }]),
    ...recorded.flatMap(({ name, process: one }) => (one && isRunning(one) ? [{ name, pid: one.pid }] : [])),
  ]);
  const services = await Promise.all(recorded.map((service) => statusOf(service, use.get(service.name))));
  if (command.json) process.stdout.write(`${JSON.stringify({ services })}\n`);
  else if (supervisor === undefined) process.stdout.write(`nothing runs in ${layout.home}; start it with ./reef up\n`);
  else process.stdout.write(table(services, totalOf(use).pssBytes, state?.baseUrl ?? ''));
  return services.length > 0 && services.every(({ ready }) => ready) ? 0 : 1;
}

async function statusOf(
  { name, process, port, readyPath, restarts }: RecordedService,
  use: Use | undefined,
): Promise<ServiceStatus> {
  const alive = process !== undefined && isRunning(process);
  return {
    name,
    pid: alive ? process.pid : null,
    port,
    ready: alive && (await (readyPath === undefined ? isListening(port) : isReady(port, readyPath))),
    rssBytes: alive ? (residentBytes(process.pid) ?? 0) : 0,
    pssBytes: use?.pssBytes ?? 0,
    restarts,
  };
}

function table(services: readonly ServiceStatus[], totalBytes: number, baseUrl: string): string {
  const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
  const rows = [
    ['service', 'pid', 'port', 'ready', 'memory', 'restarts'],
    ...services.map((one) => [
      one.name,
      String(one.pid ?? '-'),
      String(one.port),
      one.ready ? 'yes' : 'no',
      megabytes(one.pssBytes),
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
  return `${text.join('\n')}\n\n${baseUrl}, ${megabytes(totalBytes)} in all with the supervisor\n`;
}
