import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import { askDns } from './outbound-names.js';

const never = new AbortController().signal;

test('a name has its addresses of both families', async () => {
  await using dns = await answering({
    1: [
      [1, 1, 1, 1],
      [8, 8, 8, 8],
    ],
    28: [[0x26, 0x06, ...Array(13).fill(0), 1]],
  });
  expect(await askDns('a.example', never, dns.servers)).toEqual([
    { address: '1.1.1.1', family: 4 },
    { address: '8.8.8.8', family: 4 },
    { address: '2606::1', family: 6 },
  ]);
});

test('a name without addresses of one family has those of the other', async () => {
  await using dns = await answering({ 1: [[1, 1, 1, 1]] });
  expect(await askDns('a.example', never, dns.servers)).toEqual([{ address: '1.1.1.1', family: 4 }]);
});

test('of a name’s twenty addresses four are tried', async () => {
  await using dns = await answering({ 1: Array.from({ length: 20 }, (_, index) => [1, 1, 1, index]) });
  expect(await askDns('a.example', never, dns.servers)).toHaveLength(4);
});

test('a name without any address is an error, and so is one whose search was called off', async () => {
  await using dns = await answering({});
  await expect(askDns('a.example', never, dns.servers)).rejects.toMatchObject({ code: 'ENODATA' });
  await using silent = await answering(null);
  const abort = new AbortController();
  const asked = askDns('a.example', abort.signal, silent.servers);
  abort.abort();
  await expect(asked).rejects.toMatchObject({ code: 'ECANCELLED' });
});

/** A name server (RFC 1035) that has these records for every name, by their type: 1 is A, 28 is AAAA; null: it never answers. */
async function answering(records: Record<number, number[][]> | null) {
  const socket = createSocket('udp4');
  socket.on('message', (query, { port }) => {
    if (!records) return;
    const end = query.indexOf(0, 12) + 5; // The question: a name that ends in a zero, a type, a class.
    const type = query.readUInt16BE(end - 4);
    const found = records[type] ?? [];
    const head = Buffer.from([query[0]!, query[1]!, 0x81, 0x80, 0, 1, 0, found.length, 0, 0, 0, 0]);
    const answers = found.map((address) =>
      Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 0, 0, address.length, ...address]),
    );
    socket.send(Buffer.concat([head, query.subarray(12, end), ...answers]), port, '127.0.0.1');
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    servers: [`127.0.0.1:${(socket.address() as AddressInfo).port}`],
    async [Symbol.asyncDispose]() {
      socket.close();
      await once(socket, 'close');
    },
  };
}
