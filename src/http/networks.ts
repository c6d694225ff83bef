import { isIP, SocketAddress } from 'node:net';

/**
 * An IP address in the one way in which it is written here: IPv6 in its shortest form, IPv4 inside IPv6 as IPv4, no zone.
 * @returns undefined if it is none
 */
export function canonicalAddress(text: string): string | undefined {
  const [bare = ''] = text.split('%');
  const version = isIP(bare);
  if (version === 4) return bare;
  if (version === 0) return undefined;
  const { address } = new SocketAddress({ address: bare, family: 'ipv6' });
  const mapped = address.replace(/^::ffff:(?=\d+\.)/, '');
  return isIP(mapped) === 4 ? mapped : address;
}

/**
 * What one sender has for itself: an IPv4 address, or the first 64 bits of an IPv6 address, below which anybody may choose. Not the /24
 * around an IPv4 address: clouds rent these out one by one, so a stranger beside an honest sender would have its share.
 * @param address a canonical one; anything else is returned as it is
 */
export function networkOfOneSender(address: string): string {
  if (isIP(address) !== 6) return address;
  const [before = '', after] = address.split('::');
  const left = groupsOf(before);
  const right = groupsOf(after ?? '');
  const zeros = after === undefined ? [] : Array.from({ length: 8 - left.length - right.length }, () => '0');
  return [...left, ...zeros, ...right].slice(0, 4).join(':');
}

/** IPv4 at the end stands for two groups; it is never among the first four. */
function groupsOf(text: string): string[] {
  return text
    .split(':')
    .filter((group) => group !== '')
    .flatMap((group) => (group.includes('.') ? ['0', '0'] : [group]));
}
