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
 * What one sender has for itself: an IPv4 address, or the first 64 bits of an IPv6 address, below which anybody may choose.
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

/**
 * Addresses of `X-Forwarded-For`, from the sender to the last proxy. An entry may have a port (Azure Application Gateway).
 * @returns undefined in place of what is no address
 */
export function forwardedFor(value: string): readonly (string | undefined)[] {
  return value.split(',').map((entry) => addressOfNode(entry.trim()));
}

/** The same of `Forwarded` (RFC 7239): `for=192.0.2.1;proto=https, for="[2001:db8::1]:4711"`. */
export function forwarded(value: string): readonly (string | undefined)[] {
  return splitOutsideQuotes(value, ',').map((element) => {
    const nodes = splitOutsideQuotes(element, ';').flatMap((pair) => /^\s*for\s*=\s*(.*?)\s*$/i.exec(pair)?.[1] ?? []);
    const [node] = nodes;
    return node === undefined || nodes.length > 1 ? undefined : addressOfNode(node.replace(/^"(.*)"$/, '$1'));
  });
}

function addressOfNode(node: string): string | undefined {
  const [, bracketed] = /^\[([^\]]+)\](?::\d{1,5})?$/.exec(node) ?? [];
  const [, plain] = /^(\d+(?:\.\d+){3}):\d{1,5}$/.exec(node) ?? [];
  const address = bracketed ?? plain ?? node;
  return address.includes('%') ? undefined : canonicalAddress(address);
}

function splitOutsideQuotes(text: string, separator: string): readonly string[] {
  const parts: string[] = [];
  let part = '';
  let quoted = false;
  for (const character of text) {
    if (character === '"') quoted = !quoted;
    if (character === separator && !quoted) {
      parts.push(part);
      part = '';
    } else {
      part += character;
    }
  }
  return [...parts, part];
}
