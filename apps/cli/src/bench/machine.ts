import { arch, availableParallelism, cpus, release, totalmem, type } from 'node:os';

/** Where figures were measured: they mean nothing without it. */
export function machine() {
  return {
    cpu: cpus()[0]?.model.trim() ?? arch(),
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 1e9),
    os: `${type()} ${release()}`,
    node: process.versions.node,
    measuredAt: new Date().toISOString(),
  };
}
