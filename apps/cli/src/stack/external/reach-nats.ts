import { connect as connectTcp } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { answerLimitMs, reasonOf, urlWithHost } from './reached.js';
import type { Reached } from './reached.js';

const lineBytesMax = 64 * 1024;

interface ServerInfo {
  readonly version?: string;
  readonly jetstream?: boolean;
  readonly tls_required?: boolean;
}

/** Logs in to one of the servers, separated by commas as the services take them, within `limitMs`. */
export async function reachNats(urls: string, limitMs = answerLimitMs): Promise<Reached> {
  const servers = urls.split(',').map((url) => urlWithHost(url, ['nats:', 'tls:']));
  const credentials = servers[0];
  if (credentials === undefined || servers.includes(undefined)) {
    return { ok: false, text: 'it has not the form nats://user:password@host:port' };
  }
  const looks = await Promise.all(servers.map((server) => reachOne(server as URL, credentials, limitMs)));
  return looks.find(({ ok }) => ok) ?? (looks[0] as Reached);
}

async function reachOne(server: URL, credentials: URL, limitMs: number): Promise<Reached> {
  const [host, port] = [server.hostname.replace(/^\[|\]$/g, ''), Number(server.port || '4222')];
  const place = `${server.hostname}:${port}`;
  const plain = connectTcp({ host, port });
  const timer = setTimeout(() => plain.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })), limitMs);
  try {
    const info = parseInfo(await answer(plain, ''));
    if (info === undefined) return { ok: false, text: `${place} is no NATS server` };
    const refusal = refusalOf(info);
    if (refusal !== undefined) return { ok: false, text: `${place}: ${refusal}` };
    const socket = info.tls_required ? connectTls({ socket: plain, servername: host }) : plain;
    const login = JSON.stringify({
      verbose: false,
      pedantic: false,
      name: 'reef',
      lang: 'node',
      version: process.versions.node,
      tls_required: info.tls_required === true,
      ...(credentials.username && {
        user: decodeURIComponent(credentials.username),
        pass: decodeURIComponent(credentials.password),
      }),
    });
    const said = await answer(socket, `CONNECT ${login}\r\nPING\r\n`);
    if (said === 'PONG') return { ok: true, text: `NATS ${info.version} with JetStream on ${place}` };
    return { ok: false, text: `${place} answers: ${said.slice(0, 200)}` };
  } catch (error) {
    return { ok: false, text: reasonOf(error, place) };
  } finally {
    clearTimeout(timer);
    plain.destroy();
  }
}

/** Why a server that describes itself so cannot be used; undefined when it can. */
export function refusalOf({ version = '', jetstream }: ServerInfo): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < 2 || (major === 2 && minor < 10)) return `the server is NATS ${version}, and Reef needs 2.10 or newer`;
  if (jetstream !== true) return 'the server runs without JetStream; start it with nats-server -js';
  return undefined;
}

function parseInfo(line: string): ServerInfo | undefined {
  try {
    return line.startsWith('INFO ') ? (JSON.parse(line.slice('INFO '.length)) as ServerInfo) : undefined;
  } catch {
    return undefined;
  }
}

/** Sends the text and resolves with the server's next line. After the login it may describe itself once more: that is passed over. */
function answer(socket: Socket, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let read = '';
    const settle = (end: () => void) => {
      socket.off('data', take).off('error', fail).off('close', closed);
      socket.on('error', () => undefined);
      end();
    };
    const take = (bytes: Buffer) => {
      read += bytes.toString('utf8');
      if (text !== '') read = read.replace(/^(INFO [^\r\n]*\r\n)+/, '');
      const end = read.indexOf('\r\n');
      if (end >= 0) settle(() => resolve(read.slice(0, end)));
      else if (read.length > lineBytesMax) settle(() => reject(new Error('it is no NATS server')));
    };
    const fail = (error: Error) => settle(() => reject(error));
    const closed = () => settle(() => reject(new Error('it closed the connection')));
    socket.on('data', take).on('error', fail).on('close', closed);
    if (text !== '') socket.write(text);
  });
}
