import { BlockList, isIP } from 'node:net';
import { z } from 'zod';
import { text } from './scalars.ts';

const network = 'a network such as 203.0.113.0/24 or 2001:db8::/32, or an address';

/** Networks in CIDR notation, or single addresses. */
export const networks = z.array(text(network).refine(isNetwork, { error: `expected ${network}` })).min(1);

function isNetwork(value: string): boolean {
  const [address = '', prefix, ...rest] = value.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (version === 4 ? 32 : 128));
}

/** @returns whether an address is in one of the networks; IPv4 written as IPv6 (`::ffff:192.0.2.1`) counts as IPv4 */
export function createIsWithin(listed: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const network of listed) {
    const [address = '', prefix] = network.split('/');
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
    list.addSubnet(address, prefix === undefined ? (family === 'ipv4' ? 32 : 128) : Number(prefix), family);
  }
  return (address) => {
    const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
    const version = isIP(plain);
    return version !== 0 && list.check(plain, version === 4 ? 'ipv4' : 'ipv6');
  };
}
