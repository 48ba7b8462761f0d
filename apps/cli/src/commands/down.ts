import { endProcess } from '@reef/embedded';
import { runningSupervisor } from '../stack/home-lock.js';
import { layout as layoutOf } from '../stack/layout.js';
import { endOrphans } from '../stack/orphans.js';

// Longer than the supervisor gives its own children: five groups one after the other.
const stopLimitMs = 120_000;

export async function down(): Promise<number> {
  const layout = layoutOf(process.env);
  const supervisor = runningSupervisor(layout);
  if (supervisor !== undefined && !(await endProcess(supervisor, { signal: 'SIGTERM', limitMs: stopLimitMs }))) {
    process.stderr.write(`reef: process ${supervisor.pid} does not end; is it another user's?\n`);
    return 1;
  }
  const orphans = await endOrphans(layout);
  if (supervisor !== undefined) process.stdout.write('stopped\n');
  else if (orphans.length > 0) process.stdout.write(`ended what a killed start had left: ${orphans.join(', ')}\n`);
  else process.stdout.write('nothing runs\n');
  return 0;
}
