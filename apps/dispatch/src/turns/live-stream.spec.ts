import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { NatsConnection } from '@nats-io/transport-node';
import { ALIVE_EVERY_MS, liveFrame, type LiveFrame } from '@reef/contracts';
import { LiveStream } from './live-stream.js';

const COALESCE_MS = 10;

beforeEach(() => {
  jest.useFakeTimers({ now: 1_000_000 });
  jest.advanceTimersByTime(1_000); // A process is older than a moment.
});
afterEach(() => {
  expect(jest.getTimerCount()).toBe(0); // Nothing of a stream outlives it.
  jest.useRealTimers();
});

const end = { status: 'completed', finishReason: 'stop', failure: null, usage: null } as const;

function streaming() {
  const frames: LiveFrame[] = [];
  const subjects = new Set<string>();
  let closed = false;
  const nats: Pick<NatsConnection, 'publish' | 'isClosed'> = {
    isClosed: () => closed,
    publish: (subject, payload) => {
      subjects.add(subject);
      frames.push(liveFrame.parse(JSON.parse(String(payload))));
    },
  };
  return {
    live: new LiveStream(nats as NatsConnection, 'acme', 'edge1', 'turn-1'),
    frames,
    subjects,
    close: () => (closed = true),
    texts: () => frames.flatMap((frame) => (frame.type === 'text' ? [frame.text] : [])),
  };
}

describe('what a turn says', () => {
  test('goes out at once when it is the first, and then together', () => {
    const { live, texts } = streaming();
    live.text('On');
    expect(texts()).toEqual(['On']);
    for (const piece of ['ce ', 'upon ', 'a ']) live.text(piece);
    expect(texts()).toEqual(['On']);
    jest.advanceTimersByTime(COALESCE_MS - 1);
    expect(texts()).toEqual(['On']);
    jest.advanceTimersByTime(1);
    expect(texts()).toEqual(['On', 'ce upon a ']);
    live.end(end);
  });

  test('waits from the last frame on, not from the piece: a piece after a pause goes at once', () => {
    const { live, texts } = streaming();
    live.text('a');
    jest.advanceTimersByTime(COALESCE_MS - 2);
    live.text('b');
    jest.advanceTimersByTime(2);
    expect(texts()).toEqual(['a', 'b']);
    jest.advanceTimersByTime(COALESCE_MS);
    live.text('c');
    expect(texts()).toEqual(['a', 'b', 'c']);
    live.end(end);
  });

  test('goes out without waiting from 16,000 characters on', () => {
    const { live, texts } = streaming();
    live.text('a');
    live.text('x'.repeat(15_999));
    expect(texts()).toHaveLength(1);
    live.text('y');
    expect(texts().map((text) => text.length)).toEqual([1, 16_000]);
    live.end(end);
  });

  test('comes whole and in order, before the tool or the end that followed it, under numbers without a gap', () => {
    const { live, frames, subjects } = streaming();
    live.text('a');
    live.text('b');
    live.tool('read_file', 'called');
    live.tool('read_file', 'done');
    live.text('c');
    live.text('d');
    live.end(end);
    jest.advanceTimersByTime(60_000);
    expect(frames).toEqual([
      { type: 'text', seq: 0, text: 'a' },
      { type: 'text', seq: 1, text: 'b' },
      { type: 'tool', seq: 2, name: 'read_file', state: 'called' },
      { type: 'tool', seq: 3, name: 'read_file', state: 'done' },
      { type: 'text', seq: 4, text: 'cd' },
      { type: 'end', seq: 5, ...end },
    ]);
    expect([...subjects]).toEqual(['tenant.acme.dispatch.live.edge1.turn-1']);
  });
});

describe('a turn that says nothing', () => {
  test('shows now and then that it lives, until its end', () => {
    const { live, frames } = streaming();
    jest.advanceTimersByTime(2 * ALIVE_EVERY_MS);
    expect(frames).toEqual([
      { type: 'alive', seq: 0 },
      { type: 'alive', seq: 1 },
    ]);
    live.end({ ...end, status: 'failed', finishReason: null, failure: { code: 'provider_error', message: 'no' } });
    jest.advanceTimersByTime(3 * ALIVE_EVERY_MS);
    expect(frames).toHaveLength(3);
    expect(frames[2]).toMatchObject({ type: 'end', seq: 2, failure: { code: 'provider_error' } });
  });

  test('and is not heard of any more once it is discarded', () => {
    const { live, frames } = streaming();
    live.discard();
    jest.advanceTimersByTime(3 * ALIVE_EVERY_MS);
    expect(frames).toEqual([]);
  });

  test('throws nothing when the connection is gone', () => {
    const { live, frames, close } = streaming();
    close();
    live.text('a');
    live.end(end);
    expect(frames).toEqual([]);
  });
});
