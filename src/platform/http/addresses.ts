import { lookup as lookUp } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/*
 * Whoever we ask may name another address to go on at. From outside that must lead nowhere that only we reach: the services of this
 * machine, those of its network, what a cloud tells its machines.
 */

/** Who else reaches an address. `link-local` includes where clouds give their machines credentials. */
export type AddressKind = 'public' | 'private' | 'loopback' | 'link-local';

/** Where somebody at an address of one kind may send us: whoever runs it reaches these as well. */
const sendsTo: Readonly<Record<AddressKind, readonly AddressKind[]>> = {
  public: ['public'],
  private: ['public', 'private'],
  loopback: ['public', 'private', 'loopback'],
  'link-local': ['public', 'link-local'],
};

const networks: Readonly<Record<Exclude<AddressKind, 'public'>, readonly string[]>> = {
  // A connection to 0.0.0.0 or :: goes to this machine.
  loopback: ['127.0.0.0/8', '0.0.0.0/8', '::1/128', '::/128'],
  'link-local': [
    '169.254.0.0/16',
    'fe80::/10',
    // Metadata of clouds that do not have it at 169.254.169.254: Alibaba, Azure, Oracle, and AWS and Google by IPv6.
    '100.100.100.200/32',
    '168.63.129.16/32',
    '192.0.0.192/32',
    'fd00:ec2::/32',
    'fd20:ce::/32',
  ],
  private: [
    '10.0.0.0/8',
    '172.16.0.0/12',
    '192.168.0.0/16',
    '100.64.0.0/10',
    '192.0.0.0/24',
    '198.18.0.0/15',
    // Multicast, broadcast, and what nobody has yet.
    '224.0.0.0/3',
    'fc00::/7',
    'fec0::/10',
    'ff00::/8',
  ],
};

const lists = Object.entries(networks).map(([kind, each]) => ({ kind: kind as AddressKind, list: listOf(each) }));
/** IPv6 networks whose addresses stand for IPv4 ones, and the 16-bit group in which these begin: mapped, compatible, translated, 6to4. */
const translated = [
  ['::ffff:0:0/96', 6],
  ['::/96', 6],
  ['64:ff9b::/96', 6],
  ['64:ff9b:1::/48', 6],
  ['2002::/16', 1],
].map(([network, group]) => ({ list: listOf([String(network)]), group: Number(group) }));

function listOf(subnets: readonly string[]): BlockList {
  const list = new BlockList();
  for (const subnet of subnets) {
    const [address = '', bits] = subnet.split('/');
    list.addSubnet(address, Number(bits), address.includes(':') ? 'ipv6' : 'ipv4');
  }
  return list;
}

/** @param address an IP address; with a zone (`fe80::1%eth0`) or without */
export function kindOfAddress(address: string): AddressKind {
  const [plain = ''] = address.split('%');
  const family = isIP(plain);
  // What is no address reaches nobody; it is treated as what must not be reached.
  if (family === 0) return 'link-local';
  const type = family === 6 ? 'ipv6' : 'ipv4';
  const found = lists.find(({ list }) => list.check(plain, type));
  if (found !== undefined) return found.kind;
  const translation = family === 6 ? translated.find(({ list }) => list.check(plain, type)) : undefined;
  return translation === undefined ? 'public' : kindOfAddress(embedded(plain, translation.group));
}

/** The IPv4 address in an IPv6 one. */
function embedded(address: string, group: number): string {
  // The URL parser writes it in one way, without an IPv4 part.
  const written = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = '', tail] = written.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups = [...before, ...Array<string>(8 - before.length - after.length).fill('0'), ...after];
  const [high = 0, low = 0] = groups.slice(group, group + 2).map((text) => Number.parseInt(text, 16));
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

/** Of two kinds, the one that can send us to fewer addresses. */
export function lesserKind(one: AddressKind, other: AddressKind): AddressKind {
  return sendsTo[one].length <= sendsTo[other].length ? one : other;
}

/** The address that somebody has sent us to is none that he may send us to. */
export class AddressRefused extends Error {
  constructor(kind: AddressKind) {
    super(`it leads to a ${kind} address, which nobody outside may send Landfall to`);
    this.name = 'AddressRefused';
  }
}

/** @param host an address, as URLs have it, or a name @returns undefined for a name that may have any address */
export function kindByLooks(host: string): AddressKind | undefined {
  const name = host.replace(/^\[|\]$|\.$/g, '').toLowerCase();
  if (isIP(name) > 0) return kindOfAddress(name);
  return /(?:^|\.)localhost$/.test(name) ? 'loopback' : undefined;
}

/** @throws AddressRefused if the host is known by its looks to be out of reach for the kind */
export function refuseByLooks(host: string, from: AddressKind): void {
  const kind = kindByLooks(host);
  if (kind !== undefined && !sendsTo[from].includes(kind)) throw new AddressRefused(kind);
}

/**
 * Resolves a name for a connection, and leaves only addresses that somebody of this kind may send us to: what is connected to is what was
 * checked, whatever the name means the next time.
 */
export function lookupFor(from: AddressKind): LookupFunction {
  return (name, options, done) => {
    lookUp(name, { ...options, all: true }, (error, found) => {
      if (error !== null) return done(error, []);
      const kinds = found.map(({ address }) => kindOfAddress(address));
      const fit = found.filter((_, at) => sendsTo[from].includes(kinds[at] ?? 'link-local'));
      const [first] = fit;
      if (first === undefined) return done(new AddressRefused(kinds[0] ?? 'link-local'), []);
      return options.all ? done(null, fit) : done(null, first.address, first.family);
    });
  };
}
