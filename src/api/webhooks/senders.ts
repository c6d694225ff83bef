import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { canonicalAddress, forwarded, forwardedFor } from '../../http/addresses.ts';
import { type CertificateHeader, type ClientCertificate, certificateHeaders } from '../../http/authentication.ts';
import { certificateFromProxy, certificateOfHandshake } from '../../http/client-certificates.ts';
import type { ClientTrust } from '../../http/client-trust.ts';
import { createIsWithin } from '../../settings/networks.ts';

/** Who is at the other end of a request, as far as proxies are trusted. */
export interface Senders {
  addressOf(request: IncomingMessage): string;
  /** Undefined if the sender showed none. */
  certificateOf(request: IncomingMessage): ClientCertificate | undefined;
}

export interface SenderSettings {
  /** Addresses and networks of proxies whose word about their senders is taken. */
  readonly trustedProxies: readonly string[];
  /** The headers in which those pass client certificates on. Default: any of the known ones, but one at a time. */
  readonly certificateHeaders?: readonly CertificateHeader[];
  /** The authorities of client certificates; absent: no receiver asks for any. */
  readonly trust?: ClientTrust | undefined;
  readonly now?: () => Date;
}

export function createSenders(settings: SenderSettings): Senders {
  const { trust, certificateHeaders: allowed = certificateHeaders, now = () => new Date() } = settings;
  const isProxy = settings.trustedProxies.length > 0 ? createIsWithin(settings.trustedProxies) : () => false;
  // IPv6 addresses are dear to read, and a connection may bring many requests.
  const connections = new WeakMap<Socket, string>();
  const connectionOf = ({ socket }: IncomingMessage): string | undefined => {
    const known = connections.get(socket);
    if (known !== undefined) return known;
    const address = canonicalAddress(socket.remoteAddress ?? '');
    if (address !== undefined) connections.set(socket, address);
    return address;
  };
  return {
    addressOf: (request) => senderOf(request, connectionOf(request), isProxy) ?? 'unknown',
    certificateOf: (request) => {
      if (trust === undefined) return undefined;
      const passedOn = isProxy(connectionOf(request) ?? '') ? certificateFromProxy(request, trust, allowed, now()) : undefined;
      return passedOn ?? certificateOfHandshake(request, trust, now());
    },
  };
}

/**
 * Each proxy appends the address that it was reached from to a list that anybody may have begun. So the last address that is not a proxy's
 * is the sender's, and what stands before it may be invented. If that entry is no address, the connection's counts.
 */
function senderOf(
  request: IncomingMessage,
  connection: string | undefined,
  isProxy: (address: string) => boolean,
): string | undefined {
  if (connection === undefined || !isProxy(connection)) return connection;
  const addresses = forwardedAddresses(request);
  const last = addresses.findLastIndex((address) => address === undefined || !isProxy(address));
  // Nothing but proxies: the request is of the outermost one itself.
  return (last === -1 ? addresses[0] : addresses[last]) ?? connection;
}

/** Proxies that know only `X-Forwarded-For` pass a sender's own `Forwarded` on, so that counts only if the other is missing. */
function forwardedAddresses({ headersDistinct }: IncomingMessage): readonly (string | undefined)[] {
  const usual = headersDistinct['x-forwarded-for'];
  if (usual !== undefined) return forwardedFor(usual.join(','));
  const standard = headersDistinct.forwarded;
  return standard === undefined ? [] : forwarded(standard.join(','));
}
