import { BlockList, isIP } from 'node:net';

/** IANA's special-purpose registry of IPv4 (RFC 6890 and later), multicast (RFC 5771) and what is reserved (RFC 1112). */
const NOT_PUBLIC_V4: readonly [network: string, prefix: number][] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16], // Also where clouds answer with a machine's credentials.
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
];

/** What is special within IPv6's global unicast, 2000::/3: Teredo and its neighbours, documentation, 6to4. */
const NOT_PUBLIC_V6: readonly [network: string, prefix: number][] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
];

const refusedV4 = new BlockList();
for (const [network, prefix] of NOT_PUBLIC_V4) refusedV4.addSubnet(network, prefix, 'ipv4');
const refusedV6 = new BlockList();
for (const [network, prefix] of NOT_PUBLIC_V6) refusedV6.addSubnet(network, prefix, 'ipv6');
const globalUnicast = new BlockList();
globalUnicast.addSubnet('2000::', 3, 'ipv6');
const nat64 = new BlockList();
nat64.addSubnet('64:ff9b::', 96, 'ipv6');

/**
 * Whether an IP address is one of the public internet: neither this machine, its network, nor one that leads there by another name
 * (IPv4 mapped into IPv6, 6to4, Teredo, NAT64 of a private address). What is no address is not public.
 */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !refusedV4.check(address, 'ipv4');
    case 6:
      if (address.includes('%')) return false; // A zone is of this machine's links.
      // In a network that has IPv6 alone, the public IPv4 internet is reached by this prefix (RFC 6052).
      if (nat64.check(address, 'ipv6')) return isPublicAddress(lastIpv4Of(address));
      return globalUnicast.check(address, 'ipv6') && !refusedV6.check(address, 'ipv6');
    default:
      return false;
  }
}

/** The IPv4 address in the last 32 bits, whichever way it is written. */
function lastIpv4Of(address: string): string {
  const { hostname } = new URL(`http://[${address}]/`); // WHATWG's serializer writes hexadecimal groups only.
  const [head = '', tail] = hostname.slice(1, -1).split('::');
  const groups = tail === undefined ? head.split(':') : ['0', '0', ...tail.split(':')];
  const [high, low] = groups.slice(-2).map((group) => Number.parseInt(group || '0', 16));
  const bytes = [(high ?? 0) >> 8, (high ?? 0) & 0xff, (low ?? 0) >> 8, (low ?? 0) & 0xff];
  return bytes.join('.');
}
