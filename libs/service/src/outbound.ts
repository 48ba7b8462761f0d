import { request as httpRequest, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { isPublicAddress } from './outbound-address.js';
import { type Address, namesOfTheInternet, namesOfThisMachine, type Resolve } from './outbound-names.js';

const URL_CHARACTERS_MAX = 2_000;

export interface OutboundPolicy {
  /** For tests and development: http, and addresses of this machine and its network. */
  readonly allowInsecure?: boolean;
}

/** Why no answer came. `address_refused`: the name leads to an address that is not of the public internet. */
export type OutboundFailure = 'address_refused' | 'name_unknown' | 'timeout' | 'unreachable' | 'aborted';
export type OutboundOutcome = { readonly status: number } | { readonly failure: OutboundFailure };

export interface OutboundPost extends OutboundPolicy {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** For all of it: name, connection, request, answer. */
  readonly timeoutMs: number;
  /** What more an answer has is not read. */
  readonly answerBytesMax: number;
  readonly signal?: AbortSignal;
  /** How names become addresses: by DNS, and where insecure calls are allowed by what this machine knows. */
  readonly resolve?: Resolve;
}

/**
 * A URL that somebody else names and that we are to call: https, without credentials, and not plainly of our own network. Null where
 * it is not so. Where its name leads is asked again at every connection, see `post`.
 */
export function outboundUrl(text: string, { allowInsecure = false }: OutboundPolicy = {}): URL | null {
  if (text.length > URL_CHARACTERS_MAX || !URL.canParse(text)) return null;
  const url = new URL(text);
  if (url.protocol !== 'https:' && !(allowInsecure && url.protocol === 'http:')) return null;
  if (url.username || url.password || !url.hostname || url.hash) return null;
  const host = literalOf(url);
  if (!allowInsecure && isIP(host) && !isPublicAddress(host)) return null;
  return url;
}

/**
 * Posts to a URL that somebody else named (SSRF: OWASP's cheat sheet). The address is looked up once, must be public, and the
 * connection goes to that very address: a name that leads elsewhere a moment later (DNS rebinding) gains nothing. Redirects are not
 * followed; of the answer only its status counts. Never throws.
 */
export async function post(options: OutboundPost): Promise<OutboundOutcome> {
  const deadline = AbortSignal.timeout(options.timeoutMs);
  const signal = options.signal ? AbortSignal.any([deadline, options.signal]) : deadline;
  try {
    const host = literalOf(options.url);
    const addresses = await within(signal, addressesOf(host, options, signal));
    // One address that is not public is enough: a name of an honest endpoint has none.
    if (!options.allowInsecure && !addresses.every(({ address }) => isPublicAddress(address)))
      return { failure: 'address_refused' };
    return { status: await exchange(options, addresses, signal) };
  } catch (error) {
    if (deadline.aborted) return { failure: 'timeout' };
    if (signal.aborted) return { failure: 'aborted' };
    const code = (error as NodeJS.ErrnoException).code ?? '';
    return { failure: NAME_UNKNOWN.includes(code) ? 'name_unknown' : 'unreachable' };
  }
}

/** What DNS answers, or that it does not. */
const NAME_UNKNOWN = ['ENOTFOUND', 'ENODATA', 'EAI_AGAIN', 'EBADNAME', 'ESERVFAIL', 'ETIMEOUT'];

/** The host as an address is written outside a URL: IPv6 without its brackets. */
const literalOf = ({ hostname }: URL) => hostname.replace(/^\[(.*)\]$/, '$1');

async function addressesOf(host: string, { allowInsecure, resolve }: OutboundPost, signal: AbortSignal) {
  const family = isIP(host);
  if (family) return [{ address: host, family }];
  return (resolve ?? (allowInsecure ? namesOfThisMachine : namesOfTheInternet))(host, signal);
}

function exchange(
  { url, headers, body, answerBytesMax }: OutboundPost,
  addresses: readonly Address[],
  signal: AbortSignal,
) {
  const pinned: LookupFunction = (_name, options, found) => {
    const [first] = addresses;
    if (options.all) found(null, [...addresses]);
    else found(first ? null : new Error('no address'), first?.address ?? '', first?.family ?? 0);
  };
  const options: RequestOptions = {
    method: 'POST',
    headers: { ...headers, 'content-length': Buffer.byteLength(body) },
    agent: false, // A connection of its own, to the address that was just looked at.
    lookup: pinned,
    signal,
  };
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const sent = send(url, options);
  sent.on('error', reject).on('response', (response) => {
    // A status is an answer, however its body ends; the request's own error comes before its answer's end.
    const end = () => resolve(response.statusCode ?? 0);
    sent.off('error', reject).on('error', end);
    let bytes = 0;
    response.on('data', (part: Buffer) => {
      bytes += part.length;
      if (bytes > answerBytesMax) response.destroy();
    });
    response.on('close', end).on('error', end);
  });
  sent.end(body);
  return promise;
}

/** Looking a name up cannot be stopped; it can be left. */
async function within<Value>(signal: AbortSignal, work: Promise<Value>): Promise<Value> {
  const { promise, reject } = Promise.withResolvers<never>();
  const leave = () => reject(signal.reason);
  if (signal.aborted) leave();
  signal.addEventListener('abort', leave);
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', leave);
    work.catch(() => undefined);
  }
}
