import { expect, test } from '@jest/globals';
import { serviceContext } from '@reef/service';
import { InFlight } from './in-flight.js';

test('a command that comes again while it is at work is worked on once, and another tenant’s is another', async () => {
  const inFlight = new InFlight();
  let runs = 0;
  const { promise, resolve } = Promise.withResolvers<void>();
  const work = async () => {
    runs++;
    await promise;
    return runs;
  };
  const context = serviceContext('acme', 'test', 'command-1');
  const answers = [inFlight.join(context, work), inFlight.join(context, work)];
  const other = inFlight.join(serviceContext('globex', 'test', 'command-1'), work);
  const changed = inFlight.join({ ...context, fingerprint: 'another input' }, work);
  resolve();
  expect(await Promise.all(answers)).toEqual([3, 3]);
  await Promise.all([other, changed]);
  expect(runs).toBe(3);
  expect(await inFlight.join(context, work)).toBe(4);
});
