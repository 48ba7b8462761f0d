import { lookup, Resolver } from 'node:dns/promises';

export type Address = { readonly address: string; readonly family: number };
/** What addresses a name has; rejects where it has none. */
export type Resolve = (host: string, signal: AbortSignal) => Promise<readonly Address[]>;

const QUERY_TIMEOUT_MS = 2_000;
const QUERY_TRIES = 2;
const ADDRESSES_OF_FAMILY_MAX = 4;

/**
 * Asks DNS itself. The system's own way (getaddrinfo) would hold one of this process's four threads for as long as a name's slow server
 * likes, and would read names of this machine's network from its files.
 */
export const namesOfTheInternet: Resolve = (host, signal) => askDns(host, signal);

/** @param servers other name servers than this machine's, `address:port`. */
export async function askDns(host: string, signal: AbortSignal, servers?: readonly string[]): Promise<Address[]> {
  const resolver = new Resolver({ timeout: QUERY_TIMEOUT_MS, tries: QUERY_TRIES });
  if (servers) resolver.setServers(servers);
  const cancel = () => resolver.cancel();
  signal.addEventListener('abort', cancel);
  try {
    const [v4, v6] = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
    const found = [...addressesIn(v4, 4), ...addressesIn(v6, 6)];
    if (found.length === 0 && v4.status === 'rejected') throw v4.reason;
    return found;
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

/** Names as every other program of this machine knows them. */
export const namesOfThisMachine: Resolve = (host) => lookup(host, { all: true });

function addressesIn(answer: PromiseSettledResult<string[]>, family: number): Address[] {
  if (answer.status === 'rejected') return [];
  return answer.value.slice(0, ADDRESSES_OF_FAMILY_MAX).map((address) => ({ address, family }));
}
