import { expect, test } from '@jest/globals';
import { Gate } from './gate.js';

function slow() {
  const finish: (() => void)[] = [];
  return { finish, work: () => new Promise<string>((done) => finish.push(() => done('done'))) };
}

test('two pass at once, the third waits for its turn', async () => {
  const gate = new Gate(2, 64);
  const { finish, work } = slow();
  const all = [gate.pass(work), gate.pass(work), gate.pass(work)];
  expect(finish).toHaveLength(2);
  finish[0]!();
  await all[0];
  expect(finish).toHaveLength(3);
  finish[1]!();
  finish[2]!();
  expect(await Promise.all(all)).toEqual(['done', 'done', 'done']);
});

test('64 wait, the next is turned away at once', async () => {
  const gate = new Gate(2, 64);
  const { finish, work } = slow();
  const inside = Array.from({ length: 66 }, () => gate.pass(work));
  expect(await gate.pass(work)).toBeNull();
  for (let next = 0; next < 66; next++) {
    finish[next]!();
    await inside[next];
  }
  expect(await gate.pass(async () => 'open again')).toBe('open again');
});

test('a failure inside makes room for the next', async () => {
  const gate = new Gate(1, 1);
  const failing = gate.pass(() => Promise.reject(new Error('broken')));
  const waiting = gate.pass(async () => 'done');
  await expect(failing).rejects.toThrow('broken');
  expect(await waiting).toBe('done');
});
