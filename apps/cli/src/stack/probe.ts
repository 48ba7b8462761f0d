import { get } from 'node:http';
import { createConnection } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const answerLimitMs = 2_000;

/** Whether the readiness check answers 200. `node:http`, since `fetch` costs the supervisor ten megabytes. */
export function isReady(port: number, path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port, path, agent: false, timeout: answerLimitMs }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });
}

/** Whether somebody listens on the port of 127.0.0.1. */
export function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: '127.0.0.1', port, timeout: answerLimitMs });
    const answer = (listening: boolean) => {
      socket.destroy();
      resolve(listening);
    };
    socket.once('connect', () => answer(true));
    socket.once('timeout', () => answer(false));
    socket.once('error', () => answer(false));
  });
}

/** Asks every 50 ms until the condition holds (true), the limit is over, or `given` says to give up (false). */
export async function untilTrue(
  condition: () => Promise<boolean>,
  { limitMs, givenUp }: { limitMs: number; givenUp: () => boolean },
): Promise<boolean> {
  const deadline = Date.now() + limitMs;
  while (!(await condition())) {
    if (givenUp() || Date.now() > deadline) return false;
    await sleep(50);
  }
  return true;
}
