import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type OutboundPost, outboundUrl, post } from './outbound.js';
import { isPublicAddress } from './outbound-address.js';

describe('an address is public', () => {
  test.each([
    '1.1.1.1',
    '8.8.8.8',
    '9.255.255.255',
    '11.0.0.0',
    '100.63.255.255',
    '100.128.0.0',
    '126.255.255.255',
    '128.0.0.0',
    '169.253.255.255',
    '169.255.0.0',
    '172.15.255.255',
    '172.32.0.0',
    '192.167.255.255',
    '192.169.0.0',
    '198.17.255.255',
    '198.20.0.0',
    '223.255.255.255',
    '2606:4700:4700::1111',
    '2001:4860:4860::8888',
    '2001:200::1',
    '64:ff9b::808:808',
    '64:ff9b::8.8.8.8',
  ])('%s', (address) => expect(isPublicAddress(address)).toBe(true));
});

describe('an address is not public', () => {
  test.each([
    '0.0.0.0',
    '0.1.2.3',
    '10.0.0.0',
    '10.255.255.255',
    '100.64.0.0',
    '100.127.255.255',
    '127.0.0.1',
    '127.255.255.254',
    '169.254.169.254',
    '172.16.0.0',
    '172.31.255.255',
    '192.0.0.8',
    '192.0.2.1',
    '192.88.99.1',
    '192.168.0.0',
    '192.168.255.255',
    '198.18.0.1',
    '198.19.255.255',
    '198.51.100.7',
    '203.0.113.7',
    '224.0.0.1',
    '239.255.255.255',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::7f00:1',
    '::127.0.0.1',
    '::ffff:127.0.0.1',
    '::ffff:a00:1',
    '::ffff:8.8.8.8',
    'fc00::1',
    'fdff::1',
    'fe80::1',
    'fe80::1%eth0',
    'fec0::1',
    'ff02::1',
    '100::1',
    '2001::1',
    '2001:db8::1',
    '2001:1ff::1',
    '2002:7f00:1::',
    '2002:0808:0808::1',
    '3fff::1',
    '4000::1',
    '5f00::1',
    '64:ff9b::7f00:1',
    '64:ff9b::127.0.0.1',
    '64:ff9b::a9fe:a9fe',
    '64:ff9b::1',
    '64:ff9b::',
    '64:ff9b:1::808:808',
    'localhost',
    '',
    '1.1.1',
    '0x7f.1',
  ])('%s', (address) => expect(isPublicAddress(address)).toBe(false));

  test('where NAT64 leads to it, and only there, for every IPv4 address', () =>
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        expect(isPublicAddress(`64:ff9b::${address}`)).toBe(isPublicAddress(address));
        expect(isPublicAddress(`::ffff:${address}`)).toBe(false);
      }),
    ));
});

describe('a URL that somebody names', () => {
  test.each([
    'https://example.com/hook?a=1',
    'https://example.com:8443/',
    'https://8.8.8.8/',
    'https://münchen.example/',
  ])('is taken: %s', (text) => expect(outboundUrl(text)?.protocol).toBe('https:'));

  test.each([
    'http://example.com/',
    'ftp://example.com/',
    'file:///etc/passwd',
    'data:,x',
    'https://user@example.com/',
    'https://user:password@example.com/',
    'https://example.com/#fragment',
    'https://127.0.0.1/',
    'https://127.1/',
    'https://2130706433/',
    'https://0x7f000001/',
    'https://0177.0.0.1/',
    'https://[::1]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[fd00::1]/',
    'https://169.254.169.254/latest/meta-data',
    'https://',
    'example.com',
    '',
  ])('is refused: %s', (text) => expect(outboundUrl(text)).toBeNull());

  test('is no longer than 2,000 characters', () => {
    const path = 'x'.repeat(2_000 - 'https://example.com/'.length);
    expect(outboundUrl(`https://example.com/${path}`)).not.toBeNull();
    expect(outboundUrl(`https://example.com/${path}x`)).toBeNull();
  });

  test('may be http and of this machine where that is allowed, and still carries no credentials', () => {
    expect(outboundUrl('http://127.0.0.1:1/', { allowInsecure: true })?.port).toBe('1');
    expect(outboundUrl('http://user@127.0.0.1:1/', { allowInsecure: true })).toBeNull();
    expect(outboundUrl('ftp://127.0.0.1/', { allowInsecure: true })).toBeNull();
  });
});

describe('a post', () => {
  test('sends headers and body, and tells the status', async () => {
    await using endpoint = await listening((request, response) => {
      let body = '';
      request.on('data', (part: Buffer) => (body += part.toString()));
      request.on('end', () => response.writeHead(body === 'hello' && request.headers['x-a'] === '1' ? 204 : 400).end());
    });
    expect(await endpoint.post({ body: 'hello', headers: { 'x-a': '1' } })).toEqual({ status: 204 });
  });

  test('follows no redirect', async () => {
    const paths: string[] = [];
    await using endpoint = await listening((request, response) => {
      paths.push(request.url ?? '');
      response.writeHead(302, { location: '/elsewhere' }).end();
    });
    expect(await endpoint.post()).toEqual({ status: 302 });
    expect(paths).toEqual(['/']);
  });

  test('gives up on an endpoint that does not answer', async () => {
    await using endpoint = await listening(() => undefined);
    expect(await endpoint.post({ timeoutMs: 100 })).toEqual({ failure: 'timeout' });
  });

  test('reads no more of an answer than it may, also of one that never ends', async () => {
    let written = 0;
    await using endpoint = await listening((_request, response) => {
      response.writeHead(200);
      const part = Buffer.alloc(1_000);
      const timer = setInterval(() => {
        for (let index = 0; index < 100; index++) if (response.write(part)) written += part.length;
      }, 1);
      response.on('close', () => clearInterval(timer));
    });
    expect(await endpoint.post({ answerBytesMax: 64_000 })).toEqual({ status: 200 });
    expect(written).toBeLessThan(10_000_000);
  });

  test('takes a status for an answer although its body hangs', async () => {
    await using endpoint = await listening((_request, response) => response.writeHead(200).write('…'));
    expect(await endpoint.post({ timeoutMs: 100 })).toEqual({ status: 200 });
  });

  test('goes to the very address that was looked at, and looks once', async () => {
    const hosts: unknown[] = [];
    await using endpoint = await listening((request, response) => {
      hosts.push(request.headers.host);
      response.end();
    });
    let looks = 0;
    const resolve = async () => {
      looks += 1;
      return [{ address: '127.0.0.1', family: 4 }];
    };
    const url = new URL(`http://known-to-nobody-else.invalid:${endpoint.url.port}/`);
    expect(await endpoint.post({ url, resolve })).toEqual({ status: 200 });
    expect({ looks, hosts }).toEqual({ looks: 1, hosts: [url.host] });
  });

  test.each([
    ['a private address', ['10.0.0.1']],
    ['a private address among public ones', ['1.1.1.1', '127.0.0.1', '8.8.8.8']],
    ['this machine’s address in IPv6', ['::1']],
    ['this machine’s address mapped into IPv6', ['::ffff:127.0.0.1']],
  ])('goes to no name that has %s', async (_what, addresses) => {
    let requests = 0;
    await using endpoint = await listening((_request, response) => {
      requests += 1;
      response.end();
    });
    const url = new URL(`http://rebound.example:${endpoint.url.port}/`);
    const resolve = async () => addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
    expect(await endpoint.post({ url, resolve, allowInsecure: false })).toEqual({ failure: 'address_refused' });
    expect(requests).toBe(0);
  });

  test('is not held up by a name server that never answers', async () => {
    await using endpoint = await listening(() => undefined);
    const url = new URL('http://slow.example/');
    const never = () => new Promise<never>(() => undefined);
    expect(await endpoint.post({ url, resolve: never, timeoutMs: 100 })).toEqual({ failure: 'timeout' });
  });

  test('goes to no name that only this machine knows', async () => {
    await using endpoint = await listening(() => undefined);
    const url = new URL(`http://localhost:${endpoint.url.port}/`);
    expect(await endpoint.post({ url, allowInsecure: false, timeoutMs: 8_000 })).toEqual({ failure: 'name_unknown' });
  }, 10_000);

  test('goes to no address of this machine', async () => {
    let requests = 0;
    await using endpoint = await listening((_request, response) => {
      requests += 1;
      response.end();
    });
    const { port } = endpoint.url;
    for (const host of ['127.0.0.1', '127.1', '[::1]', '[::ffff:127.0.0.1]']) {
      const url = new URL(`http://${host}:${port}/`);
      expect(await endpoint.post({ url, allowInsecure: false })).toEqual({ failure: 'address_refused' });
    }
    expect(requests).toBe(0);
  });

  test('tells a name that is unknown, and a port where nobody listens', async () => {
    await using endpoint = await listening(() => undefined);
    const unknown = new URL('http://nobody.invalid/');
    expect(await endpoint.post({ url: unknown })).toEqual({ failure: 'name_unknown' });
    const closed = await listening(() => undefined);
    await closed[Symbol.asyncDispose]();
    expect(await closed.post()).toEqual({ failure: 'unreachable' });
  });

  test('can be called off', async () => {
    await using endpoint = await listening(() => undefined);
    const abort = new AbortController();
    const posted = endpoint.post({ signal: abort.signal });
    abort.abort();
    expect(await posted).toEqual({ failure: 'aborted' });
  });
});

async function listening(answer: RequestListener) {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  return {
    url,
    post: (change: Partial<OutboundPost> = {}) =>
      post({ url, headers: {}, body: '{}', timeoutMs: 5_000, answerBytesMax: 64_000, allowInsecure: true, ...change }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
