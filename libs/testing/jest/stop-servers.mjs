import { rmSync } from 'node:fs';

export default async function stopServers() {
  await globalThis.reefTest?.stop?.();
  if (globalThis.reefTest) rmSync(globalThis.reefTest.directory, { recursive: true, force: true });
}
