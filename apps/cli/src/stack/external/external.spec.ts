import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { reachNats, refusalOf } from './reach-nats.js';
import { reachPostgres } from './reach-postgres.js';
import { requireExternal } from './require-external.js';

const password = 'a-secret';
const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

describe('a server that the environment names', () => {
  test('and that nobody runs is said by its setting, without the password', async () => {
    const port = await closedPort();
    const env = {
      REEF_DATABASE_URL: `postgres://admin:${password}@127.0.0.1:${port}/reef`,
      REEF_NATS_URL: `nats://reef:${password}@127.0.0.1:${port}`,
    };
    await expect(requireExternal(env)).rejects.toThrow(
      `REEF_DATABASE_URL cannot be used: nobody listens on 127.0.0.1:${port}\n` +
        `REEF_NATS_URL cannot be used: nobody listens on 127.0.0.1:${port}`,
    );
    await expect(requireExternal({})).resolves.toBeUndefined();
  });

  test('and that never answers is given up after the limit', async () => {
    const port = await listening(() => undefined);
    const [postgres, nats] = await Promise.all([
      reachPostgres(`postgres://admin:${password}@127.0.0.1:${port}`, 50),
      reachNats(`nats://reef:${password}@127.0.0.1:${port}`, 50),
    ]);
    expect(postgres).toMatchObject({ ok: false, text: expect.stringContaining(`127.0.0.1:${port}`) });
    expect(nats).toEqual({ ok: false, text: `127.0.0.1:${port} does not answer` });
  });

  test.each([`db:${password}@`, `http://admin:${password}@db`, `//:${password}`])(
    'as something that is no such URL is refused without showing it',
    async (url) => {
      for (const reached of [await reachPostgres(url), await reachNats(url)]) {
        expect(reached).toMatchObject({ ok: false, text: expect.stringContaining('has not the form') });
        expect(reached.text).not.toContain(password);
      }
    },
  );
});

describe('a NATS server', () => {
  const info = { version: '2.10.0', jetstream: true };

  test('is of version 2.10 or newer and has JetStream', () => {
    for (const version of ['2.10.0', '2.15.1', '3.0.0', '2.12.0-RC.1']) {
      expect(refusalOf({ ...info, version })).toBeUndefined();
    }
    expect(refusalOf({ ...info, version: '2.9.25' })).toBe('the server is NATS 2.9.25, and Reef needs 2.10 or newer');
    expect(refusalOf({ ...info, version: '1.11.0' })).toContain('needs 2.10');
    expect(refusalOf({ ...info, jetstream: false })).toContain('without JetStream');
    expect(refusalOf({ version: '2.10.0' })).toContain('without JetStream');
  });

  test('that lets us in is reached, also when it describes itself twice', async () => {
    let login: unknown;
    const port = await nats((given) => {
      login = given;
      return `INFO ${JSON.stringify(info)}\r\nPONG\r\n`;
    });
    expect(await reachNats(`nats://reef:p%40ss@127.0.0.1:${port}`)).toEqual({
      ok: true,
      text: `NATS 2.10.0 with JetStream on 127.0.0.1:${port}`,
    });
    expect(login).toMatchObject({ user: 'reef', pass: 'p@ss' });
  });

  test('that refuses the password says so', async () => {
    const port = await nats(() => "-ERR 'Authorization Violation'\r\n");
    const { ok, text } = await reachNats(`nats://reef:${password}@127.0.0.1:${port}`);
    expect(ok).toBe(false);
    expect(text).toBe(`127.0.0.1:${port} answers: -ERR 'Authorization Violation'`);
  });

  test('that is down does not matter while another one of the list is up', async () => {
    const [down, up] = [await closedPort(), await nats(() => 'PONG\r\n')];
    expect(await reachNats(`nats://127.0.0.1:${down},nats://127.0.0.1:${up}`)).toMatchObject({ ok: true });
  });

  test('is not whatever else listens there', async () => {
    const port = await listening((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    expect(await reachNats(`nats://127.0.0.1:${port}`)).toEqual({
      ok: false,
      text: `127.0.0.1:${port} is no NATS server`,
    });
  });

  /** Greets, then answers the login. */
  function nats(answer: (login: unknown) => string): Promise<number> {
    return listening((socket) => {
      socket.write(`INFO ${JSON.stringify(info)}\r\n`);
      socket.once('data', (bytes) => {
        const [connect = ''] = bytes.toString().split('\r\n');
        socket.write(answer(JSON.parse(connect.slice('CONNECT '.length))));
      });
    });
  }
});

async function listening(greet: (socket: Socket) => void): Promise<number> {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket.on('error', () => undefined));
    greet(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(async () => {
    for (const socket of open) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

async function closedPort(): Promise<number> {
  const port = await listening(() => undefined);
  await closers.pop()?.();
  return port;
}
