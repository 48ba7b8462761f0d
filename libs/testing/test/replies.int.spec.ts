import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { headers, type NatsConnection } from '@nats-io/transport-node';
import { connectNats, Replies } from '@reef/messaging';
import { natsOfThisFile } from '@reef/testing';

let nats: NatsConnection;
beforeAll(async () => {
  nats = await connectNats(await natsOfThisFile(), 'replies');
});
afterAll(() => nats.close());

const ask = (replies: Replies, subject: string, payload: string, timeoutMs = 2_000) =>
  replies.request(subject, payload, { headers: headers(), timeoutMs });

test('each request gets its own answer, in whatever order they come', async () => {
  const held: (() => void)[] = [];
  nats.subscribe('echo', { callback: (_error, message) => void held.push(() => message.respond(message.data)) });
  const replies = new Replies(nats);
  const asked = Promise.all(['a', 'b', 'c'].map((text) => ask(replies, 'echo', text)));
  while (held.length < 3) await nats.flush();
  for (const answer of held.toReversed()) answer();
  const answers = await asked;
  expect(answers.map((answer) => typeof answer === 'object' && answer.string())).toEqual(['a', 'b', 'c']);
});

test('where no one listens is told at once, and where no one answers when the time is over', async () => {
  const replies = new Replies(nats);
  const startedMs = performance.now();
  expect(await ask(replies, 'nowhere', 'x')).toBe('nobody');
  expect(performance.now() - startedMs).toBeLessThan(1_000);
  nats.subscribe('mute', { callback: () => undefined });
  expect(await ask(replies, 'mute', 'x', 50)).toBe('silence');
});

test('an empty answer is an answer, and one that comes too late is nobody’s', async () => {
  nats.subscribe('late', { callback: (_error, message) => void setTimeout(() => message.respond('late'), 80) });
  nats.subscribe('empty', { callback: (_error, message) => void message.respond() });
  const replies = new Replies(nats);
  expect(await ask(replies, 'late', 'x', 20)).toBe('silence');
  const empty = await ask(replies, 'empty', 'x');
  expect(typeof empty === 'object' && empty.data.length).toBe(0);
  await new Promise((resolve) => setTimeout(resolve, 120));
  expect(await ask(replies, 'late', 'x', 500)).toMatchObject({ data: expect.anything() });
});
