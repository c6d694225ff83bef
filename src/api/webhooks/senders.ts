import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import {
  type AddressHeader,
  type CertificateHeader,
  type ClientCertificate,
  certificateHeaders,
} from '../../http/authentication.ts';
import type { ClientTrust } from '../../http/client-trust.ts';
import { canonicalAddress } from '../../http/networks.ts';
import { createIsWithin } from '../../settings/networks.ts';

export type Senders = Awaited<ReturnType<typeof createSenders>>;

export interface SenderSettings {
  /** Addresses and networks of proxies whose word about their senders is taken. */
  readonly trustedProxies: readonly string[];
  /** Where those say it. Absent: in either, and where a request has both and they differ, neither counts. */
  readonly addressHeader?: AddressHeader | undefined;
  /** The headers in which those pass client certificates on. Default: any of the known ones, but one at a time. */
  readonly certificateHeaders?: readonly CertificateHeader[];
  /** The authorities of client certificates; absent: no receiver asks for any. */
  readonly trust?: ClientTrust | undefined;
  readonly now?: () => Date;
}

/** Who is at the other end of a request, as far as proxies are trusted. */
export async function createSenders(settings: SenderSettings) {
  const { addressHeader, trust, certificateHeaders: allowed = certificateHeaders, now = () => new Date() } = settings;
  const isProxy = settings.trustedProxies.length > 0 ? createIsWithin(settings.trustedProxies) : () => false;
  // What reads certificates takes 3 MB, and few are asked for any.
  const certificates = trust && { trust, ...(await import('../../http/client-certificates.ts')) };
  // IPv6 addresses are dear to read, and a connection may bring many requests.
  const connections = new WeakMap<Socket, string>();
  const connectionOf = ({ socket }: IncomingMessage): string | undefined => {
    const address = connections.get(socket) ?? canonicalAddress(socket.remoteAddress ?? '');
    if (address !== undefined) connections.set(socket, address);
    return address;
  };
  return {
    addressOf: (request: IncomingMessage): string => {
      const connection = connectionOf(request);
      if (connection === undefined || !isProxy(connection)) return connection ?? 'unknown';
      const senders = new Set(forwardedAddresses(request, addressHeader).map((addresses) => senderOf(addresses, isProxy)));
      const [sender] = senders;
      return (senders.size === 1 ? sender : undefined) ?? connection;
    },
    /** @returns undefined if the sender showed none */
    certificateOf: (request: IncomingMessage): ClientCertificate | undefined => {
      if (certificates === undefined) return undefined;
      const { certificateFromProxy, certificateOfHandshake } = certificates;
      const isPassedOn = isProxy(connectionOf(request) ?? '');
      const passedOn = isPassedOn ? certificateFromProxy(request, certificates.trust, allowed, now()) : undefined;
      return passedOn ?? certificateOfHandshake(request, certificates.trust, now());
    },
  };
}

/**
 * Each proxy appends the address that it was reached from to a list that anybody may have begun. So the last address that is not a
 * proxy's is the sender's, and what stands before it may be invented. Undefined if that entry is no address: the connection's counts then.
 */
function senderOf(addresses: AddressList, isProxy: (address: string) => boolean): string | undefined {
  const last = addresses.findLastIndex((address) => address === undefined || !isProxy(address));
  // Nothing but proxies: the request is of the outermost one itself.
  return last === -1 ? addresses[0] : addresses[last];
}

/** From the sender to the last proxy; undefined in place of what is no address. */
type AddressList = readonly (string | undefined)[];

/**
 * The list of each header that counts and is there. A proxy sets one of the two, and passes on what a sender has put into the other: which
 * is which only the configuration can say.
 */
function forwardedAddresses({ headersDistinct }: IncomingMessage, only: AddressHeader | undefined): AddressList[] {
  const { 'x-forwarded-for': usual, forwarded: standard } = headersDistinct;
  const lists: AddressList[] = [];
  if (usual !== undefined && only !== 'forwarded') {
    const entries = usual.join(',').split(',');
    lists.push(entries.map((entry) => addressOfNode(entry.trim())));
  }
  if (standard !== undefined && only !== 'x-forwarded-for') lists.push(forwarded(standard.join(',')));
  return lists;
}

/** `Forwarded` (RFC 7239): `for=192.0.2.1;proto=https, for="[2001:db8::1]:4711"`. */
function forwarded(value: string): AddressList {
  // What separates elsewhere does not inside of quotes, and is part of no address.
  const elements = value.replace(/"[^"]*(?:"|$)/g, (quoted) => quoted.replace(/[,;]/g, '_')).split(',');
  return elements.map((element) => {
    const [node, ...others] = element.split(';').flatMap((pair) => /^\s*for\s*=\s*(.*?)\s*$/i.exec(pair)?.[1] ?? []);
    return node === undefined || others.length > 0 ? undefined : addressOfNode(node.replace(/^"(.*)"$/, '$1'));
  });
}

/** An entry may have a port (Azure Application Gateway). */
function addressOfNode(node: string): string | undefined {
  const [, six, four] = /^(?:\[([^\]]+)\]|(\d+(?:\.\d+){3}))(?::\d{1,5})?$/.exec(node) ?? [];
  const address = six ?? four ?? node;
  return address.includes('%') ? undefined : canonicalAddress(address);
}
