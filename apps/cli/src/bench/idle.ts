import { setTimeout as sleep } from 'node:timers/promises';
import { Explained } from '../explained.js';
import { type Bench, type Figure, figure } from './bench.js';
import { atOnce, onOwnStack, type OwnStack } from './parts/own-stack.js';
import { cpuBetween, totalOf, useOf } from './parts/processes.js';

const settlingMs = 4_000;
const cpuSeconds = 8;
const tenantsMax = 10_000;
const warmUps = 40;
const signUpLimitMs = 18_000;
const signUpsAtOnce = 4;

export const bench: Bench = {
  about: 'what a stack at rest takes, and what thousands of idle tenants add to it',
  async run(say) {
    if (process.platform !== 'linux') throw new Explained('this benchmark reads /proc, which only Linux has');
    return onOwnStack(async (stack) => {
      await sleep(settlingMs);
      const empty = useOf(stack.processes);
      const idleCpu = await restingCpu(stack);
      const figures: Figure[] = [
        figure('memory of all processes (PSS)', megabytes(totalOf(empty).pssBytes), 'MB'),
        ...[...empty].map(([name, { pssBytes }]) => figure(`    ${name}`, megabytes(pssBytes), 'MB')),
        figure('memory of all processes (RSS)', megabytes(totalOf(empty).rssBytes), 'MB'),
        ...cpuFigures('CPU of all processes at rest', idleCpu),
      ];

      // What the first sign-ups compile and connect is no tenant's.
      await atOnce(signUpsAtOnce, namesOf('first', warmUps), (name) => stack.signUp(name));
      await sleep(settlingMs);
      const warm = useOf(stack.processes);
      const startMs = performance.now();
      const inTime = () => performance.now() - startMs < signUpLimitMs;
      const tenants = (await atOnce(signUpsAtOnce, namesOf('idle', tenantsMax), (name) => stack.signUp(name), inTime))
        .length;
      const seconds = (performance.now() - startMs) / 1_000;
      say(
        `${tenants} tenants signed up over HTTP, ${signUpsAtOnce} at once, in ${seconds.toFixed(1)} s (argon2id each)`,
      );
      await sleep(settlingMs);
      const full = useOf(stack.processes);
      const addedBytes = totalOf(full).pssBytes - totalOf(warm).pssBytes;
      return [
        ...figures,
        figure('sign-ups a second', tenants / seconds, '/s'),
        figure(`memory that ${tenants} idle tenants added (PSS)`, megabytes(addedBytes), 'MB'),
        figure('    a tenant', addedBytes / 1_000 / tenants, 'kB'),
        ...[...full].map(([name, { pssBytes }]) =>
          figure(`    ${name}`, megabytes(pssBytes - (warm.get(name)?.pssBytes ?? 0)), 'MB'),
        ),
        ...cpuFigures(`CPU of all processes at rest, with ${tenants} tenants`, await restingCpu(stack)),
      ];
    });
  },
};

function namesOf(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
}

async function restingCpu(stack: OwnStack): Promise<[string, number][]> {
  const before = useOf(stack.processes);
  await sleep(cpuSeconds * 1_000);
  return cpuBetween(before, useOf(stack.processes));
}

/** 1,000 ms of CPU in a second is one core. */
function cpuFigures(name: string, cpu: readonly [string, number][]): Figure[] {
  const total = cpu.reduce((sum, [, ms]) => sum + ms, 0);
  return [
    figure(name, total / cpuSeconds, 'ms/s'),
    ...cpu.filter(([, ms]) => ms > 0).map(([one, ms]) => figure(`    ${one}`, ms / cpuSeconds, 'ms/s')),
  ];
}

const megabytes = (bytes: number) => bytes / 1e6;
